"""From the files of the flows directories to loaded flows. It works in a thread, one look at a time.

A file is taken when two looks 0.3 s apart find it equal, so that a save in two writes never runs half; one that was
moved to its place is complete, and taken at once. A bad file never takes a good flow down: its last good version runs
on. What is gone for under a second, a file or a flow of a file of several, was an editor's save.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flows.collections import Collection, named_once, read_collections
from flows.connections import Connection, by_name, load_connections
from flows.context import Kinds
from flows.loader import Document, cross_check, load_file, refuse_package
from flows.problems import Problem
from flows.tree import Found, how, in_order, is_ours, scan, sort_of
from reactor.contracts.errors import ConfigError
from reactor.contracts.plan import Plan
from reactor.contracts.text import is_text, shown
from reactor.router.match import FlowSet

EDITOR_SAVE = 1.0
SETTLE = 0.3
OLD = 0.5
"""Age in seconds at which a file that is there at the start counts as written."""
NEVER_QUIET = 3.0
"""Seconds after which a file that keeps changing is reported."""
SLICE = 0.002
"""Seconds of work after which the thread lets others have the interpreter."""


class Unreadable(ConfigError):
    """A directory cannot hold flows, or nobody knows whether it does."""

    def __init__(self, directory: str | Path, message: str) -> None:
        super().__init__(message)
        self.directory = directory


@dataclass
class News:
    """What may have changed. `whole` looks everywhere, `again` reads files with problems again, `anew` all files."""

    whole: bool = False
    again: bool = False
    anew: bool = False
    files: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    """Of the files, those that were moved to their place and not written since."""

    def __bool__(self) -> bool:
        return self.whole or bool(self.files)


@dataclass
class View:
    """What all files say together."""

    flows: FlowSet
    problems: list[Problem]
    connections: dict[str, Connection]
    collections: list[Collection]
    contexts: dict[str, dict[str, str]]
    """The text of named files by version."""
    files: dict[str, dict[str, str]]
    """Versions by flow and by absolute path, as the store keeps them."""
    refused: dict[str, str]
    """Flows whose file has errors, so that another version of them runs, and files of which nothing runs; the error."""
    present: set[str]
    """All files by absolute path."""
    wanted: dict[str, set[str]]
    """Files with errors, and their flows that no good version is known of; without names, all of the file."""


@dataclass
class _Loaded:
    """What was read of a file, and how it stood then."""

    found: Found
    named: dict[str, Found | None]
    documents: list[Document] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    collections: list[Collection] = field(default_factory=list)

    @property
    def bad(self) -> bool:
        found = [one.problems for one in self.documents]
        found += [one.problems for one in self.connections]
        return any((*found, *(one.problems for one in self.collections)))

    def states(self) -> tuple[Found | None, ...]:
        """How the files that it names stand now."""
        return tuple(how(name) for name in self.named)


@dataclass
class _Unsettled:
    found: Found
    named: tuple[Found | None, ...]
    since: float
    first: float


class FlowFiles:
    """`monotonic` is the clock's. `enter` is called with each folder before it is listed."""

    def __init__(
        self, directories: Sequence[Path], kinds: Kinds, monotonic: Callable[[], float], bundle: Path | None = None
    ) -> None:
        self._directories = [str(directory) for directory in directories]
        self._bundle = str(bundle) if bundle is not None else None
        self._kinds = kinds
        self._monotonic = monotonic
        self.enter: Callable[[str], None] | None = None
        self._found: dict[str, tuple[str, Found]] = {}
        """Sort and state of the files by path."""
        self.folders: set[str] = set()
        self._names: list[Problem] = []
        self._there: set[str] = set()
        self._loaded: dict[str, _Loaded] = {}
        self._named: dict[str, set[str]] = {}
        """Files that flow files name, and which do."""
        self._good: dict[str, dict[str, Plan]] = {}
        self._unsettled: dict[str, _Unsettled] = {}
        self._vanished: dict[str, float] = {}
        self._lost: dict[tuple[str, str], tuple[float, Plan]] = {}
        self._restless: set[str] = set()
        self._order: list[str] = []
        self._begun = False
        # read by the event loop while a thread looks, so they are only ever replaced
        self.due: float | None = None
        """When the next look is needed though nothing is told, on the monotonic clock."""
        self.settling: float | None = None
        """When the next unsettled file may be taken; None when all are."""
        self.links: tuple[str, ...] = ()
        """Files that are links: nobody tells when what they point to changes."""
        self.took = 0.0
        """Seconds that the last walk over everything took."""
        self._breath = 0.0

    def matters(self, path: str, name: str) -> bool:
        """Whether a change of the file may change what is loaded."""
        return is_ours(name) or path in self._named

    def look(self, news: News) -> bool:
        """Brings what is known up to date; whether anything is different. Raises Unreadable."""
        self._breath = time.perf_counter()
        try:
            return self._look(news)
        except OSError as error:
            place = error.filename or self._directories[0]
            raise Unreadable(place, f"the directory cannot be read: {error.strerror}") from None

    def _look(self, news: News) -> bool:
        now = self._monotonic()
        different = self._walk() if news.whole else self._glance(news.files | set(self._unsettled))
        asked = {user for path in news.files for user in self._named.get(path, ())} | news.files | set(self._unsettled)
        for path in list(self._found) if news.whole else sorted(asked):
            entry = self._found.get(path)
            if entry is not None:
                self._vanished.pop(path, None)
                different |= self._consider(path, *entry, news, now)
        different |= self._missing(now)
        restless = {path for path, one in self._unsettled.items() if now - one.first > NEVER_QUIET}
        different |= restless != self._restless
        self._restless = restless
        different |= not self._begun
        self._begun = True
        self._plan_ahead()
        return different

    def _plan_ahead(self) -> None:
        moments = [one.since + SETTLE for one in self._unsettled.values()]
        self.settling = min(moments, default=None)
        moments += [since + EDITOR_SAVE for since in self._vanished.values()]
        moments += [since + EDITOR_SAVE for since, _ in self._lost.values()]
        self.due = min(moments, default=None)

    def _walk(self) -> bool:
        """All files of all directories."""
        begun = time.perf_counter()
        found: dict[str, tuple[str, Found]] = {}
        folders: set[str] = set()
        names: list[Problem] = []
        for directory in [*([self._bundle] if self._bundle is not None else []), *self._directories]:
            if not is_text(directory):
                raise Unreadable(shown(directory), f"the name of the directory {shown(directory)} is not UTF-8")
            try:
                refuse_package(Path(directory))
            except ValueError as error:
                raise Unreadable(directory, str(error)) from None
            if Path(directory).is_dir():
                self._there.add(directory)
            elif directory in self._there:
                raise Unreadable(directory, "the directory is gone; its flows run on until it is back")
            tree = scan(directory, self.enter)
            folders |= tree.folders
            names += tree.problems()
            for path in sorted(tree.files, key=in_order):
                sort = sort_of(path[len(directory) :].lstrip("/"))
                if sort is not None:
                    found.setdefault(path, (sort, tree.files[path]))
        different = names != self._names
        self._found, self.folders, self._names = found, folders, names
        self.links = tuple(path for path, (_, state) in found.items() if state.link)
        self.took = time.perf_counter() - begun
        return different

    def _glance(self, paths: set[str]) -> bool:
        """Only these files."""
        for path in paths:
            directory = next((one for one in self._directories if path.startswith(f"{one.rstrip('/')}/")), None)
            sort = sort_of(path[len(directory) :].lstrip("/")) if directory is not None else None
            if sort is None or not is_ours(path.rpartition("/")[2]):
                continue  # a file that flows name
            state = how(path)
            if state is None:
                self._found.pop(path, None)
            else:
                self._found[path] = (sort, state)
                if state.link and path not in self.links:
                    self.links = (*self.links, path)
        return False

    def _consider(self, path: str, sort: str, found: Found, news: News, now: float) -> bool:
        """Reads a file that changed, once it is quiet; whether it did."""
        known = self._loaded.get(path)
        named = known.states() if known is not None else ()
        if known is not None and known.found[:3] == found[:3] and named == tuple(known.named.values()):
            self._unsettled.pop(path, None)
            if not (news.anew or (news.again and known.bad)):
                return False
        elif not self._settled(path, found, named, news, now):
            return False
        loaded = self._read(path, sort, found)
        now_found = how(path)
        if now_found is None or now_found[:4] != found[:4]:
            if now_found is not None:  # somebody writes there now
                self._found[path] = (sort, now_found)
                self._unsettled[path] = _Unsettled(now_found, named, now, now)
            return False
        self._unsettled.pop(path, None)
        self._take(path, loaded, known, now)
        self._breathe()
        return True

    def _settled(self, path: str, found: Found, named: tuple[Found | None, ...], news: News, now: float) -> bool:
        if path in news.moved:
            return True
        if not self._begun and time.time() - found.changed / 1e9 > OLD:
            return True
        waiting = self._unsettled.get(path)
        if waiting is None or waiting.found != found or waiting.named != named:
            self._unsettled[path] = _Unsettled(found, named, now, now if waiting is None else waiting.first)
            return False
        return now - waiting.since >= SETTLE

    def _read(self, path: str, sort: str, found: Found) -> _Loaded:
        place = Path(path)
        if sort == "connection":
            return _Loaded(found, {}, connections=load_connections(place, self._kinds))
        if sort == "collection":
            return _Loaded(found, {}, collections=read_collections(place, self._kinds))
        inside = self._bundle is not None and path.startswith(f"{self._bundle}/")
        documents = load_file(place, self._kinds, str(Path.cwd()) if inside else None)
        named = {name for document in documents for name in document.files}
        states = {str(place.parent / name): how(str(place.parent / name)) for name in sorted(named)}
        return _Loaded(found, states, documents=documents)

    def _take(self, path: str, loaded: _Loaded, known: _Loaded | None, now: float) -> None:
        for name in known.named if known is not None else ():
            self._named.get(name, set()).discard(path)
        for name in loaded.named:
            self._named.setdefault(name, set()).add(path)
            if self.enter is not None:
                self.enter(os.path.dirname(name))  # noqa: PTH120
        self._loaded[path] = loaded
        names = {document.name for document in loaded.documents}
        good = self._good.get(path, {})
        if "" in names or not good:
            return
        gone = set(good) - names
        for name in gone:
            if len(good) > 1 and not names - set(good):
                self._lost[(path, name)] = (now, good[name])
            del good[name]
        for key in [key for key in self._lost if key[0] == path and key[1] in names]:
            del self._lost[key]

    def _missing(self, now: float) -> bool:
        """Files and flows that are gone for longer than an editor's save are dropped; whether there are any."""
        different = False
        for path in [path for path in self._vanished if path in self._found]:
            del self._vanished[path]
        if len(self._loaded) != len(self._found) or self._unsettled or self._vanished:
            for path in [path for path in (*self._loaded, *self._unsettled) if path not in self._found]:
                self._unsettled.pop(path, None)
                if path in self._loaded and now - self._vanished.setdefault(path, now) >= EDITOR_SAVE:
                    known = self._loaded.pop(path)
                    for name in known.named:
                        self._named.get(name, set()).discard(path)
                    self._vanished.pop(path)
                    self._good.pop(path, None)
                    different = True
        for key, (since, _) in list(self._lost.items()):
            if now - since >= EDITOR_SAVE or key[0] not in self._loaded:
                del self._lost[key]
                different = True
        return different

    def _breathe(self) -> None:
        """Lets the event loop have the interpreter; not at the start, when nobody waits."""
        if self._begun and time.perf_counter() - self._breath > SLICE:
            time.sleep(SLICE)
            self._breath = time.perf_counter()

    def keep(self, path: str, plans: dict[str, Plan]) -> None:
        """Versions that ran before the start, for flows whose file has errors now."""
        good = self._good.setdefault(path, {})
        for name, plan in plans.items():
            good.setdefault(name, plan)

    def view(self) -> View:
        """Everything together."""
        paths = sorted(sorted(self._loaded, key=in_order), key=self._directory)
        moved = self._names_elsewhere()
        documents: list[tuple[str, Document]] = []
        connections: list[Connection] = []
        collections: list[Collection] = []
        for path in paths:
            one = self._loaded[path]
            documents += [
                (path, dataclasses.replace(document, problems=list(document.problems)))
                for document in one.documents
                if not (path in self._vanished and document.name in moved)
            ]
            connections += [dataclasses.replace(c, problems=list(c.problems)) for c in one.connections]
            collections += [dataclasses.replace(c, problems=list(c.problems)) for c in one.collections]
            self._breathe()
        for path in sorted(self._restless):
            text = f"the file keeps changing; it is read once it has not changed for {SETTLE:g} s"
            if path not in self._loaded:
                documents.append((path, Document(path, "", None, [Problem(path, 1, 1, text)])))
        named = by_name(connections)
        named_once(collections)
        cross_check([d for _, d in documents], self._kinds, named, (one.name for one in collections))
        problems = [problem for _, document in documents for problem in document.problems]
        problems += [problem for connection in connections for problem in connection.problems]
        problems += [problem for collection in collections for problem in collection.problems]
        view = View(
            FlowSet([]), sorted([*problems, *self._names]),
            {one.name: one for one in reversed(connections) if one.name}, collections, {}, {}, {},
            {os.path.abspath(path) for path in self._found}, {},  # noqa: PTH100
        )  # fmt: skip
        plans: dict[str, Plan] = {}
        for path, document in documents:
            self._choose(path, document, plans, view)
        for (path, name), (_, plan) in self._lost.items():
            if plans.setdefault(name, plan) is plan:
                self._note(view, path, plan)
        view.flows = FlowSet(plans.values())
        return view

    def _names_elsewhere(self) -> set[str]:
        """Flows of files that are there, when some are not: a file that is renamed does not quarrel with itself."""
        if not self._vanished:
            return set()
        return {d.name for path, one in self._loaded.items() if path not in self._vanished for d in one.documents}

    def _directory(self, path: str) -> int:
        places = [*([self._bundle] if self._bundle is not None else []), *self._directories]
        return next((n for n, one in enumerate(places) if path.startswith(f"{one.rstrip('/')}/")), 0)

    def _choose(self, path: str, document: Document, plans: dict[str, Plan], view: View) -> None:
        """What runs of a document: its plan, or the last good version."""
        good = self._good.setdefault(path, {})
        if document.plan is not None:
            chosen = [document.plan]
            good[document.plan.flow] = document.plan
            view.contexts[document.plan.version] = document.files
        else:
            chosen = [plan for name, plan in good.items() if name == document.name or not document.name]
            error = str(next((p for p in document.problems if p.severity == "error"), "the file has errors"))
            for name in [plan.flow for plan in chosen] or [document.name or document.file]:
                view.refused.setdefault(name, error)
            if not document.name:
                view.wanted[path] = set()
            elif not chosen and view.wanted.get(path, {""}):
                view.wanted.setdefault(path, set()).add(document.name)
        for plan in chosen:
            if plans.setdefault(plan.flow, plan) is plan:
                self._note(view, path, plan)
        self._breathe()

    def _note(self, view: View, path: str, plan: Plan) -> None:
        if self._bundle is None or not path.startswith(f"{self._bundle}/"):
            view.files.setdefault(os.path.abspath(path), {})[plan.flow] = plan.version  # noqa: PTH100
