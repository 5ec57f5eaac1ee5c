"""Versions of flows, and which of them each flow file gave last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import apsw
import msgspec

from reactor.contracts.store import FlowFiles, PlanRecord
from reactor.store.codec import encode


class MemoryPlans:
    """The part of the memory store that keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self._plans: dict[str, PlanRecord] = {}
        self._flow_files: dict[str, dict[str, str]] = {}

    async def save_plan(self, *plans: PlanRecord, files: FlowFiles | None = None) -> None:
        for plan in plans:
            self._plans.setdefault(plan.version, plan)
        for file, flows in (files or {}).items():
            if flows:
                self._flow_files[file] = dict(flows)
            else:
                self._flow_files.pop(file, None)

    async def plan(self, version: str) -> PlanRecord | None:
        return self._plans.get(version)

    async def versions(self, flow: str) -> list[PlanRecord]:
        return sorted((plan for plan in self._plans.values() if plan.flow == flow), key=lambda plan: -plan.at)

    async def flow_files(self) -> dict[str, dict[str, str]]:
        return {file: dict(flows) for file, flows in self._flow_files.items()}


def save(db: apsw.Connection, plans: Sequence[PlanRecord], files: Mapping[str, Mapping[str, str]]) -> None:
    rows = [(plan.version, plan.flow, plan.at, encode(plan)) for plan in plans]
    db.executemany("INSERT OR IGNORE INTO plans VALUES (?, ?, ?, ?)", rows)
    db.executemany("DELETE FROM flow_files WHERE file = ?", [(file,) for file in files])
    db.executemany(
        "INSERT INTO flow_files VALUES (?, ?, ?)",
        [(file, flow, version) for file, flows in files.items() for flow, version in flows.items()],
    )


def read(db: apsw.Connection, version: str) -> PlanRecord | None:
    row = db.execute("SELECT record FROM plans WHERE version = ?", (version,)).fetchone()
    return None if row is None else msgspec.json.decode(row[0], type=PlanRecord)


def versions(db: apsw.Connection, flow: str) -> list[PlanRecord]:
    rows = db.execute("SELECT record FROM plans WHERE flow = ? ORDER BY at DESC", (flow,))
    return [msgspec.json.decode(row[0], type=PlanRecord) for row in rows]


def flow_files(db: apsw.Connection) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for file, flow, version in db.execute("SELECT file, flow, version FROM flow_files"):
        found.setdefault(file, {})[flow] = version
    return found
