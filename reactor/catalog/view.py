"""What all flow files say together: which flows run, with which connections, and what is wrong."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from flows.collections import Collection as DataCollection
from flows.collections import named_once
from flows.connections import Connection, by_name
from flows.context import Kinds
from flows.loader import Document, cross_check
from flows.problems import Problem
from reactor.catalog.directories import FlowDirectories
from reactor.catalog.last_good import LastGood
from reactor.catalog.reading import FileRead
from reactor.catalog.settling import SETTLE
from reactor.contracts.plan import Plan
from reactor.router.match import FlowSet


@dataclass
class View:
    """What all files say together."""

    flows: FlowSet
    problems: list[Problem]
    connections: dict[str, Connection]
    collections: list[DataCollection]
    present: set[str]
    """All files by absolute path."""
    contexts: dict[str, dict[str, str]] = field(default_factory=dict)
    """The text of named files by version."""
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    """Versions by flow and by absolute path, as the store keeps them."""
    refused: dict[str, str] = field(default_factory=dict)
    """Flows whose file has errors, so that another version of them runs, and files of which nothing runs; the error."""
    wanted: dict[str, set[str]] = field(default_factory=dict)
    """Files with errors, and their flows that no good version is known of; without names, all of the file."""


class Views:
    """Makes views. `breathe` is called between steps of the work."""

    def __init__(self, directories: FlowDirectories, kinds: Kinds, good: LastGood, breathe: Callable[[], None]) -> None:
        self._directories = directories
        self._kinds = kinds
        self._good = good
        self._breathe = breathe

    def view(
        self,
        files: Sequence[tuple[str, FileRead]],
        vanished: Collection[str],
        restless: Iterable[str],
        names: Sequence[Problem],
        present: Iterable[str],
    ) -> View:
        """`files` in the order that decides; `vanished` are gone for a moment, `restless` keep changing, `names` cannot
        be used, `present` are all that are there."""
        documents, connections, collections = self._copies(files, vanished)
        known = {path for path, _ in files}
        for path in sorted(restless):
            text = f"the file keeps changing; it is read once it has not changed for {SETTLE:g} s"
            if path not in known:
                documents.append((path, Document(path, "", None, [Problem(path, 1, 1, text)])))
        named = by_name(connections)
        named_once(collections)
        cross_check([d for _, d in documents], self._kinds, named, (one.name for one in collections))
        problems = [problem for _, document in documents for problem in document.problems]
        problems += [problem for connection in connections for problem in connection.problems]
        problems += [problem for collection in collections for problem in collection.problems]
        view = View(
            FlowSet([]),
            sorted([*problems, *names]),
            {one.name: one for one in reversed(connections) if one.name},
            collections,
            {os.path.abspath(path) for path in present},  # noqa: PTH100
        )
        view.flows = FlowSet(self._plans(documents, view).values())
        return view

    def _copies(
        self, files: Sequence[tuple[str, FileRead]], vanished: Collection[str]
    ) -> tuple[list[tuple[str, Document]], list[Connection], list[DataCollection]]:
        """What the files hold, with lists of problems that may grow."""
        elsewhere = _names_elsewhere(files, vanished)
        documents: list[tuple[str, Document]] = []
        connections: list[Connection] = []
        collections: list[DataCollection] = []
        for path, one in files:
            documents += [
                (path, dataclasses.replace(document, problems=list(document.problems)))
                for document in one.documents
                if not (path in vanished and document.name in elsewhere)
            ]
            connections += [dataclasses.replace(c, problems=list(c.problems)) for c in one.connections]
            collections += [dataclasses.replace(c, problems=list(c.problems)) for c in one.collections]
            self._breathe()
        return documents, connections, collections

    def _plans(self, documents: Sequence[tuple[str, Document]], view: View) -> Mapping[str, Plan]:
        """What runs, by flow; the first file of a name has it."""
        plans: dict[str, Plan] = {}
        for path, document in documents:
            for plan in self._chosen(path, document, view):
                if plans.setdefault(plan.flow, plan) is plan:
                    self._note(view, path, plan)
            self._breathe()
        for path, name, plan in self._good.lost():
            if plans.setdefault(name, plan) is plan:
                self._note(view, path, plan)
        return plans

    def _chosen(self, path: str, document: Document, view: View) -> list[Plan]:
        """What may run of a document: its plan, or the last good versions."""
        good = self._good.of(path)
        if document.plan is not None:
            good[document.plan.flow] = document.plan
            view.contexts[document.plan.version] = document.files
            return [document.plan]
        chosen = [plan for name, plan in good.items() if name == document.name or not document.name]
        error = str(next((p for p in document.problems if p.severity == "error"), "the file has errors"))
        for name in [plan.flow for plan in chosen] or [document.name or document.file]:
            view.refused.setdefault(name, error)
        if not document.name:
            view.wanted[path] = set()
        elif not chosen and view.wanted.get(path, {""}):
            view.wanted.setdefault(path, set()).add(document.name)
        return chosen

    def _note(self, view: View, path: str, plan: Plan) -> None:
        if not self._directories.is_bundled(path):
            view.files.setdefault(os.path.abspath(path), {})[plan.flow] = plan.version  # noqa: PTH100


def _names_elsewhere(files: Iterable[tuple[str, FileRead]], vanished: Collection[str]) -> set[str]:
    """Flows of files that are there, when some are not: a file that is renamed does not quarrel with itself."""
    if not vanished:
        return set()
    return {document.name for path, one in files if path not in vanished for document in one.documents}
