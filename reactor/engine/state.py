"""The state of a run in memory: frames (what is being done), scopes (what expressions see), timers.

A block frame stands in a list of steps; a step frame is one step being performed. Frames that cannot go on without
an entry from outside are in `Run.open` or have a timer; frames that can are in `Run.ready`, a stack.
"""

from __future__ import annotations

from typing import Any

from reactor.contracts.errors import ErrorObject
from reactor.contracts.event import StoredEvent, rfc3339
from reactor.contracts.journal import AnyEntry
from reactor.contracts.plan import BOUNDS_NAME, Block, Plan, Step
from reactor.contracts.run import Status
from reactor.engine.phases import ENDED, VERB, Role, RunPhase, StepPhase, StepStatus, TimerKind
from reactor.engine.step_tree import StepTree

BLOCKED: object = object()
"""Returned by a verb that goes on later: through a child block, an entry or a timer."""

ENDINGS_LIMIT = 300.0
"""Seconds that `finally` may take."""


class Raised(Exception):
    """A step failed with an error that already has its final shape."""

    def __init__(self, error: ErrorObject) -> None:
        super().__init__(error["message"])
        self.error = error


class Stopped(Exception):
    """A `stop` step ended the run."""

    def __init__(self, status: Status) -> None:
        super().__init__(status)
        self.status = status


class Scope:
    """What expressions see at one place. `wrote_*` collect what a parallel branch wrote, for its join."""

    __slots__ = ("names", "steps", "vars", "wrote_steps", "wrote_vars")

    def __init__(
        self,
        names: dict[str, object],
        vars: dict[str, object],
        steps: dict[str, object],
        wrote_vars: dict[str, object] | None = None,
        wrote_steps: dict[str, object] | None = None,
    ) -> None:
        self.names = names
        self.vars = vars
        self.steps = steps
        self.wrote_vars = wrote_vars
        self.wrote_steps = wrote_steps

    def write(self, name: str, value: object) -> None:
        self.vars[name] = value
        if self.wrote_vars is not None:
            self.wrote_vars[name] = value

    def result(self, id: str, value: object) -> None:
        self.steps[id] = value
        if self.wrote_steps is not None:
            self.wrote_steps[id] = value

    def forget(self, id: str) -> None:
        self.steps.pop(id, None)
        if self.wrote_steps is not None:
            self.wrote_steps.pop(id, None)

    def with_names(self, **more: object) -> Scope:
        """The same variables and results, with further names (`error` in a handler)."""
        return Scope({**self.names, **more}, self.vars, self.steps, self.wrote_vars, self.wrote_steps)

    def turn(self, own_vars: bool, **more: object) -> Scope:
        """For one turn of a loop: results are its own; variables are the enclosing ones unless turns run at once."""
        steps = dict(self.steps)
        vars = dict(self.vars) if own_vars else self.vars
        names = {**self.names, "vars": vars, "steps": steps, **more}
        return Scope(names, vars, steps, None if own_vars else self.wrote_vars, None)

    def branch(self) -> Scope:
        """For one parallel branch: copies as at the fork."""
        steps, vars = dict(self.steps), dict(self.vars)
        return Scope({**self.names, "vars": vars, "steps": steps}, vars, steps, {}, {})

    def merge(self, other: Scope) -> None:
        """Takes over what a branch wrote."""
        for name, value in (other.wrote_vars or {}).items():
            self.write(name, value)
        for id, value in (other.wrote_steps or {}).items():
            self.result(id, value)


BlockRole = Role | int | str | None
"""What a child block is for: a `Role`, the number of its turn, the name of its branch, or the only one of its verb."""


class BlockFrame:
    """A place in a list of steps."""

    __slots__ = ("block", "current", "dead", "index", "owner", "prefix", "role", "scope", "value")

    def __init__(
        self, block: Block, prefix: str, owner: StepFrame | None, scope: Scope, role: BlockRole = None
    ) -> None:
        self.block = block
        self.prefix = prefix
        self.owner = owner
        self.scope = scope
        self.role = role
        self.index = 0
        self.value: object = None
        self.current: StepFrame | None = None
        self.dead = False


class StepFrame:
    """One step that is being performed, through all its attempts."""

    __slots__ = (
        "attempt", "begun", "block", "child", "children", "dead", "deadline", "error", "generation", "handler",
        "path", "phase", "rescued", "scope", "state", "step",
    )  # fmt: skip

    def __init__(self, step: Step, path: str, block: BlockFrame) -> None:
        self.step = step
        self.path = path
        self.block = block
        self.scope = block.scope
        self.attempt = 1
        self.generation = 0
        self.phase: StepPhase = VERB
        self.state: Any = None
        self.children: list[BlockFrame] = []
        self.begun = 0
        """How often the intention of the present attempt was written."""
        self.child: str | None = None
        self.error: ErrorObject | None = None
        self.handler: int | None = None
        self.rescued = False
        self.deadline: float | None = None
        self.dead = False


class Run:
    """One run in memory. Owned by the machine's functions; nothing else changes it."""

    __slots__ = (
        "attempt", "described", "effective", "environment", "error", "event", "final", "id", "last_folded", "left",
        "names", "now", "open", "outgoing", "output", "paused", "phase", "plan", "ready", "response", "retry_point",
        "root", "scope", "snapshot_after", "snapshot_at", "snapshots", "started", "status", "timers", "tree", "trigger",
        "walked",
    )  # fmt: skip

    def __init__(
        self,
        plan: Plan,
        event: StoredEvent,
        id: str,
        trigger: str,
        at: float,
        environment: dict[str, str],
        bounds: int,
        events: list[StoredEvent],
        tree: StepTree | None,
    ) -> None:
        self.plan = plan
        self.event = event
        self.id = id
        self.trigger = trigger
        self.now = at
        self.started = at
        self.environment = environment
        self.tree = tree
        self.phase = RunPhase.body
        self.status = Status.running
        self.final: Status | None = None
        """How the run will have ended when `finally` is through."""
        self.output: object = None
        self.error: ErrorObject | None = None
        self.response: dict[str, object] | None = None
        self.ready: list[BlockFrame] = []
        self.open: dict[str, StepFrame] = {}
        self.timers: dict[tuple[str, TimerKind], float] = {}
        self.paused: dict[str, StepFrame] = {}
        self.outgoing: list[str] = []
        """Ids of child runs to cancel with the next append."""
        self.left = 0
        self.effective = 0
        """Entries folded that count (a retry by a person drops some)."""
        self.last_folded: AnyEntry | None = None
        self.retry_point: int | None = None
        self.snapshots = 0
        """How many its journal has. `snapshot_at` is what was folded at the last one, `walked` the pure steps since
        then; where one did not fit, `snapshot_after` is what must come until the next is tried."""
        self.snapshot_at = 0
        self.snapshot_after = 0
        self.walked = 0
        self.root: BlockFrame | None = None
        self.attempt = 1
        self.described: dict[str, object] = _described(self)
        """What expressions see as `run`; the only object among their names that changes in place."""
        self.scope: Scope = _root_scope(self, events, bounds)
        self.names = self.scope.names

    def start_attempt(self, attempt: int) -> None:
        self.attempt = self.described["attempt"] = attempt

    @property
    def ended(self) -> bool:
        return self.phase is ENDED


def _described(run: Run) -> dict[str, object]:
    return {
        "id": run.id,
        "flow": run.plan.flow,
        "version": run.plan.version,
        "started": rfc3339(run.started),
        "attempt": run.attempt,
        "trigger": run.trigger,
        "scheduled_at": None,
    }


def _root_scope(run: Run, events: list[StoredEvent], bounds: int) -> Scope:
    event = run.event.names()
    vars: dict[str, object] = {}
    steps: dict[str, object] = {}
    names = {
        "event": event,
        "trigger": event,
        "inputs": event["data"],
        "vars": vars,
        "steps": steps,
        BOUNDS_NAME: bounds,
        "env": run.environment,
        "events": [stored.names() for stored in events] if events else [event],
        "run": run.described,
    }
    run.described["scheduled_at"] = event.get("scheduled_at")
    for trigger in run.plan.triggers:
        if trigger.id is not None and trigger.id == run.trigger:
            names[trigger.id] = event
    return Scope(names, vars, steps)


def push(
    run: Run, owner: StepFrame | None, block: Block, prefix: str, scope: Scope, role: BlockRole = None
) -> BlockFrame:
    """A child block that the walk goes on with."""
    frame = BlockFrame(block, prefix, owner, scope, role)
    if owner is not None:
        owner.children.append(frame)
    run.ready.append(frame)
    return frame


def cancel_block(run: Run, block: BlockFrame) -> None:
    """Takes a block and all inside it out of the run."""
    block.dead = True
    if block.current is not None:
        cancel_step(run, block.current)
        block.current = None


def cancel_step(run: Run, frame: StepFrame) -> None:
    frame.dead = True
    close(run, frame)
    if run.tree is not None:
        run.tree.ended(frame.path, StepStatus.cancelled, run.now)


def close(run: Run, frame: StepFrame) -> None:
    """Takes everything that a step frame waits for out of the run, its children too; the frame itself stays."""
    run.open.pop(frame.path, None)
    run.paused.pop(frame.path, None)
    run.timers.pop((frame.path, "wake"), None)
    run.timers.pop((frame.path, "until"), None)
    if frame.deadline is not None:
        run.timers.pop((frame.path, "deadline"), None)
        frame.deadline = None
    if frame.child is not None:
        run.outgoing.append(frame.child)
        frame.child = None
    for child in frame.children:
        if not child.dead:
            cancel_block(run, child)
    frame.children = []
