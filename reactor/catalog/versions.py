"""The versions of flows: those that run now, and all that the store keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import anyio

from flows.context import Kinds
from flows.loader import load_text
from reactor.catalog.view import View
from reactor.contracts.clock import Clock
from reactor.contracts.plan import Plan
from reactor.contracts.store import Journal, PlanRecord
from reactor.router.match import FlowSet

SAVE_AT_ONCE = 500


class FlowVersions:
    """Gives plans by version, and keeps in the store which version each file gave last."""

    def __init__(self, kinds: Kinds, store: Journal, clock: Clock) -> None:
        self.flows = FlowSet([])
        """Those that run now."""
        self._kinds = kinds
        self._store = store
        self._clock = clock
        self._compiled: dict[str, Plan] = {}
        self._files: dict[str, dict[str, str]] | None = None
        """Versions by flow and by absolute path, as the store has them; None before it was asked."""

    async def _known(self) -> dict[str, dict[str, str]]:
        if self._files is None:
            self._files = await self._store.flow_files()
        return self._files

    async def install(self, view: View, directories: Sequence[str]) -> list[Plan]:
        """Saves what is new, then makes the set of the view the present one; the plans in it that are new. Raises
        StoreFull: then the set before stays."""
        before, after = self.flows.plans, view.flows.plans
        new = [plan for plan in after.values() if plan.flow not in before or before[plan.flow].version != plan.version]
        known = await self._known()
        saved = {version for flows in known.values() for version in flows.values()}
        records = [self._record(plan, view) for plan in new if plan.version not in saved]
        files = {file: flows for file, flows in _rows(view, known, directories).items() if known.get(file) != flows}
        for start in range(0, len(records), SAVE_AT_ONCE):
            await self._store.save_plan(*records[start : start + SAVE_AT_ONCE])
        if files:
            await self._store.save_plan(files=files)
            self._files = {
                **{file: flows for file, flows in known.items() if file not in files},
                **{file: flows for file, flows in files.items() if flows},
            }
        self.flows = view.flows  # also when only a file was renamed
        for plan in new:
            self._compiled[plan.version] = plan
        return new

    def _record(self, plan: Plan, view: View) -> PlanRecord:
        return PlanRecord(
            version=plan.version,
            flow=plan.flow,
            file=plan.file,
            folder=plan.folder,
            source=plan.source,
            language=1,
            context=view.contexts.get(plan.version, {}),
            at=self._clock.now(),
        )

    async def last_good(self, path: str, names: set[str]) -> dict[str, tuple[str, Plan]]:
        """Versions and plans that a file gave before the start, of these flows or of all, unless they run now."""
        known = (await self._known()).get(_absolute(path), {})
        found: dict[str, tuple[str, Plan]] = {}
        for flow, version in _of(known, names).items():
            record = await self._store.plan(version)
            # with what is allowed now: an older version may do no more than a new one
            plan = await anyio.to_thread.run_sync(_compiled, record, self._kinds) if record else None
            if plan is not None and plan.flow not in self.flows.plans:
                found[flow] = (version, plan)
        return found

    async def plan(self, version: str) -> Plan | None:
        """The plan of a version, loaded or not; None when it cannot be compiled any more."""
        known = self._compiled.get(version)
        if known is not None:
            return known
        record = await self._store.plan(version)
        if record is None:
            return None
        kinds = Kinds(
            actions=self._kinds.actions,
            triggers=self._kinds.triggers,
            connections=self._kinds.connections,
            allow=frozenset({"shell", "script"}),
            make_validator=self._kinds.make_validator,
            file_root="/",
        )
        compiled = await anyio.to_thread.run_sync(_compiled, record, kinds)
        if compiled is not None:
            self._compiled[version] = compiled
        return compiled


def _compiled(record: PlanRecord, kinds: Kinds) -> Plan | None:
    documents = load_text(record.source, record.file, record.folder, kinds, record.folder, record.context)
    for document in documents:
        if document.plan is not None and document.plan.flow == record.flow:
            return document.plan
    return None


def _rows(view: View, known: Mapping[str, Mapping[str, str]], directories: Iterable[str]) -> dict[str, dict[str, str]]:
    """What the store has to know of each file. What ran last of a file that has errors stays known, even if it cannot
    run now; a file is forgotten when it is gone from a directory that is looked at."""
    rows = dict(view.files)
    for path, names in view.wanted.items():
        file = _absolute(path)
        old = _of(known.get(file, {}), names)
        if old:
            rows[file] = {**old, **rows.get(file, {})}
    for file in known:
        inside = any(file.startswith(f"{directory.rstrip('/')}/") for directory in directories)
        if inside and file not in rows and file not in view.present:
            rows[file] = {}
    return rows


def _of(flows: Mapping[str, str], names: set[str]) -> dict[str, str]:
    """Those of these names; without names, all."""
    return {flow: version for flow, version in flows.items() if not names or flow in names}


def _absolute(path: str) -> str:
    return str(Path(path).absolute())
