"""Versions of flows, and which of them each flow file gave last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import apsw
import msgspec

from reactor.contracts.store import FlowFiles, PlanRecord
from reactor.contracts.text import shown
from reactor.store.codec import encode
from reactor.store.sqlite.database import Database
from reactor.store.sqlite.unreadable import UNREADABLE, reason


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


def read(db: Database, version: str) -> PlanRecord | None:
    """None for one that is not there, or cannot be read."""
    try:
        row = db.execute("SELECT record FROM plans WHERE version = ?", (version,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=PlanRecord)
    except UNREADABLE:
        db.met("plans", version)
        return None


def versions(db: Database, flow: str) -> list[PlanRecord]:
    found = []
    for (version,) in list(db.execute("SELECT version FROM plans WHERE flow = ? ORDER BY at DESC", (flow,))):
        try:
            row = db.execute("SELECT record FROM plans WHERE version = ?", (version,)).fetchone()
            found.append(msgspec.json.decode(row[0] if row else b"", type=PlanRecord))
        except UNREADABLE as error:
            db.met("plans", version)
            found.append(
                PlanRecord(
                    version=version, flow=flow, file="", folder="", source="", language=0,
                    context={"unreadable": reason(error)},
                )
            )  # fmt: skip
    return found


def flow_files(db: Database) -> dict[str, dict[str, str]]:
    """What can be read of them."""
    found: dict[str, dict[str, str]] = {}
    for file, flow, version in list(
        db.execute("SELECT CAST(file AS BLOB), CAST(flow AS BLOB), version FROM flow_files")
    ):
        try:
            found.setdefault(bytes(file).decode(), {})[bytes(flow).decode()] = version
        except UnicodeDecodeError:
            db.met("flow_files", shown(bytes(file)))
    return found
