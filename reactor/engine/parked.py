"""Runs that wait, kept in memory until they go on: a loop of waits does not fold its journal anew at each turn.

A run may be kept after an append that gave it back: then it is what its journal says, up to the number of entries that
is kept with it. It is used again only when the store's record has the same number; everything else folds the journal.
What does not fit in the bound is forgotten, oldest first, and costs a fold."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from reactor.engine.state import BlockFrame, Run
from reactor.engine.steps.foreach import Turns

BOUND = 32 * 1024 * 1024
"""Bytes of all kept runs together, as `weight` counts them."""
BASE = 4 * 1024
"""Bytes of a run without data: its frames, scopes and names."""
OBJECTS = 4
"""Bytes in memory for a byte of JSON."""

_encoder = msgspec.json.Encoder(enc_hook=lambda value: None)


class Parked:
    """`seqs` says which runs are kept and up to which entry; the store's thread reads it while it claims."""

    def __init__(self, bound: int = BOUND) -> None:
        self._bound = bound
        self._runs: OrderedDict[str, tuple[Run, int]] = OrderedDict()
        self.seqs: dict[str, int] = {}
        self.size = 0

    def keep(self, run: Run, seq: int) -> None:
        """Keeps a quiet run whose journal has `seq` entries."""
        self.drop(run.id)
        try:
            size = weight(run)
        except RecursionError:
            return  # nested too deeply to be measured
        if size > self._bound // 8:
            return
        self._runs[run.id] = (run, size)
        self.seqs[run.id] = seq
        self.size += size
        while self.size > self._bound:
            self.drop(next(iter(self._runs)))

    def take(self, id: str, seq: int) -> Run | None:
        """The run, when it is kept as it is after `seq` entries. It is not kept any more: who takes it changes it."""
        kept = self.seqs.get(id)
        run = self._runs[id][0] if kept == seq else None
        self.drop(id)
        return run

    def drop(self, id: str) -> None:
        found = self._runs.pop(id, None)
        if found is not None:
            del self.seqs[id]
            self.size -= found[1]


def weight(run: Run) -> int:
    """About how many bytes a run holds. What several scopes share counts once."""
    seen: set[int] = set()
    size = len(_encoder.encode(run.event.event.data)) + len(_encoder.encode([run.error, run.output, run.response]))
    frames = 1
    blocks: list[BlockFrame] = [run.root] if run.root is not None else []
    while blocks:
        block = blocks.pop()
        size += _values(block.scope.vars, seen) + _values(block.scope.steps, seen) + _values(block.value, seen)
        frames += 1
        frame = block.current
        if frame is None:
            continue
        if isinstance(frame.state, Turns):
            size += _values(frame.state.items, seen) + _values(frame.state.results, seen)
        blocks.extend(frame.children)
    return frames * BASE + size * OBJECTS


def _values(value: object, seen: set[int]) -> int:
    if isinstance(value, (dict, list)):
        if id(value) in seen:
            return 0
        seen.add(id(value))
        return sum(_encoded(part, seen) for part in (value.values() if isinstance(value, dict) else value))
    return 8


def _encoded(value: object, seen: set[int]) -> int:
    if isinstance(value, (dict, list)):
        if id(value) in seen:
            return 0
        seen.add(id(value))
        return 16 + len(_encoder.encode(value))
    return 16 + len(value) if isinstance(value, str) else 16
