"""How long the recovery of a long run takes: with the snapshots in its journal, and of the same journal without them.

    .venv/bin/python -m tests.bench.recovery

A run counts in a loop of waits, and keeps a small result of each hundredth turn. Recovery is reading the journal's bytes
and folding them. The two are measured in alternating rounds; the figures are medians, and the ratio is what counts.
"""

from __future__ import annotations

import statistics
import time

from reactor.contracts.event import Event, StoredEvent
from reactor.contracts.journal import AnyEntry, Snapshot, Woke, decode_entries, encode_entries
from reactor.contracts.plan import BOUNDS
from reactor.engine import machine, snapshot
from reactor.engine.entries import due_entry, next_due
from tests.flows_help import plan

ROUNDS = 9
LENGTHS = (3_000, 10_000)
FLOW = """
flow: loop
when: [{event: go.loop}]
vars: {n: 0, seen: []}
do:
  - while: vars.n < 1000000
    max: 1000000
    do:
      - wait: 1s
      - set: {n: "${{ vars.n + 1 }}"}
      - if: vars.n % 100 == 0
        then: [{set: {seen: "${{ vars.seen + [vars.n] }}"}}]
"""


def main() -> None:
    compiled = plan(FLOW)
    event = StoredEvent(id="evt_1", event=Event(type="go.loop", source="s"), at=1000.0, origin="event")

    def journal(length: int) -> list[bytes]:
        """As the store has it: one record for each append."""
        run = machine.begin(compiled, event, "run_1", "event", 1000.0, {}, BOUNDS)
        machine.walk(run)
        records = []
        for _ in range(length):
            due = next_due(run)
            assert due is not None
            entry = due_entry(run, due[0])
            assert isinstance(entry, Woke)
            machine.fold(run, entry)
            machine.walk(run)
            record: list[AnyEntry] = [entry]
            if snapshot.due(run) and (taken := snapshot.take(run)) is not None:
                record.append(taken)
            records.append(encode_entries(record))
        return records

    def recovered(records: list[bytes]) -> float:
        begun = time.perf_counter()
        entries = [entry for record in records for entry in decode_entries(record)]
        machine.recover(compiled, event, "run_1", "event", 1000.0, {}, BOUNDS, entries)
        return (time.perf_counter() - begun) * 1000

    for length in LENGTHS:
        with_them = journal(length)
        without = [encode_entries([e for e in decode_entries(r) if not isinstance(e, Snapshot)]) for r in with_them]
        found: tuple[list[float], list[float]] = ([], [])
        for round in range(ROUNDS):
            for index in (0, 1) if round % 2 else (1, 0):
                found[index].append(recovered((with_them, without)[index]))
        new, old = (statistics.median(times) for times in found)
        larger = sum(map(len, with_them)) / sum(map(len, without))
        print(f"{length:6,} entries: {old:8.1f} ms whole, {new:6.1f} ms from the last snapshot: {old / new:.1f} times")
        print(f"{'':6} the journal is {larger:.2f} times as large")


if __name__ == "__main__":
    main()
