"""`foreach`: one turn an element, in order of the elements, up to `at_once` of them together."""

from __future__ import annotations

import msgspec

from reactor.contracts import plan
from reactor.contracts.errors import StepFailed
from reactor.contracts.plan import BOUNDS_NAME
from reactor.engine.state import BLOCKED, BlockFrame, Run, StepFrame, push
from reactor.engine.steps import Verb

MAX_ELEMENTS = 10_000
MAX_RESULTS = 16 * 1024 * 1024
"""Bytes of JSON of all results: each turn may end with the same large value. Not in the first set of bounds."""

_encoder = msgspec.json.Encoder()


class Turns:
    __slots__ = ("done", "items", "keys", "next", "results", "size")

    def __init__(self, items: list[object], keys: list[str] | None) -> None:
        self.items = items
        self.keys = keys
        self.next = 0
        self.done = 0
        self.results: list[object] = [None] * len(items)
        self.size = 0


class Foreach(Verb):
    def enter(self, run: Run, frame: StepFrame) -> object:
        body: plan.Foreach = frame.step.body
        value = body.items.evaluate(frame.scope.names)
        if isinstance(value, dict):
            turns = Turns(list(value.values()), list(value))
        elif isinstance(value, list):
            turns = Turns(value, None)
        else:
            raise StepFailed(
                "expression",
                f"foreach goes over a list or an object; {body.items.source} is {type(value).__name__}",
            )
        if len(turns.items) > MAX_ELEMENTS:
            raise StepFailed("limit", f"foreach over {len(turns.items):,} elements; at most {MAX_ELEMENTS:,}")
        frame.state = turns
        if not turns.items:
            return self._value(turns)
        for _ in range(min(body.at_once, len(turns.items))):
            self._start(run, frame)
        if body.at_once > 1:
            run.ready[-len(frame.children) :] = reversed(run.ready[-len(frame.children) :])
        return BLOCKED

    def _start(self, run: Run, frame: StepFrame) -> None:
        body: plan.Foreach = frame.step.body
        turns: Turns = frame.state
        index = turns.next
        turns.next += 1
        more = {body.name: turns.items[index], "index": index}
        if turns.keys is not None:
            more["key"] = turns.keys[index]
        scope = frame.scope.turn(body.at_once > 1, **more)
        push(run, frame, body.do, f"{frame.path}/turns/{index}", scope, index)

    def _value(self, turns: Turns) -> object:
        if turns.keys is None:
            return turns.results
        return dict(zip(turns.keys, turns.results, strict=True))

    def ended(self, run: Run, frame: StepFrame, block: BlockFrame, value: object) -> object:
        turns: Turns = frame.state
        if len(frame.children) == 1:
            frame.children.clear()
        else:
            frame.children = [child for child in frame.children if child is not block]
        assert isinstance(block.role, int)
        turns.results[block.role] = value
        self._weigh(frame, turns, value)
        turns.done += 1
        if turns.done == len(turns.items):
            return self._value(turns)
        if turns.next < len(turns.items):
            self._start(run, frame)
        return BLOCKED

    def _weigh(self, frame: StepFrame, turns: Turns, value: object) -> None:
        if isinstance(value, (dict, list, str)) and frame.scope.names.get(BOUNDS_NAME) != 1:
            turns.size += len(value) if isinstance(value, str) else len(_encoder.encode(value))
            if turns.size > MAX_RESULTS:
                raise StepFailed("limit", "the results of foreach are more than 16 MiB")
