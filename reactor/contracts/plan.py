"""A flow after compiling: what the router and the machine read, and nothing that they must interpret as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Names = Mapping[str, Any]
"""Root names of an expression (`event`, `vars`, `steps` …) and their values."""

BOUNDS = 2
"""The number of the set of bounds under which expressions are evaluated now; stored with each run at its start."""

BOUNDS_NAME = "#bounds"
"""Under this name, which no expression can spell, the names of a run carry the number of its bounds."""


class Expression(Protocol):
    """A compiled expression. Evaluating is pure; `StepFailed` of type `missing`, `expression` or `limit` is raised."""

    source: str
    line: int
    reads: frozenset[tuple[str, ...]]
    """Paths that it reads, e.g. `("event", "body", "total")`."""
    lookup: tuple[tuple[str, ...], Any] | None
    """`(path, constant)` when the whole expression is `path == constant`, for the router's index."""

    def evaluate(self, names: Names) -> Any: ...


@dataclass(frozen=True, slots=True)
class Front:
    """How a text with expressions begins."""

    text: str
    """What the author wrote in front of the first one."""
    begins: tuple[str, ...] = ()
    """The path that stands first in that expression: `("event", "path")` of `event.path.lower()`; empty when it begins
    with anything else."""
    alone: bool = False
    """Whether the expression is that path and nothing more."""


class Template(Protocol):
    """A value of the flow with `${{ }}` inside: rendering gives the value."""

    reads: frozenset[tuple[str, ...]]
    fronts: Mapping[str, Front]
    """Of each text with expressions, by its place (`attach.0.path`)."""

    def render(self, names: Names) -> Any: ...


class Validator(Protocol):
    """A compiled JSON Schema."""

    def problems(self, value: Any) -> list[str]:
        """What does not fit, one line each; empty when the value is valid."""
        ...


@dataclass(frozen=True, slots=True)
class Retry:
    """`times` further attempts; waits grow from `first` to `last` seconds by doubling; `then` is fail or pause."""

    times: int
    first: float = 1.0
    last: float = 1.0
    condition: Expression | None = None
    then: str = "fail"
    waits: tuple[float, ...] = ()
    """Seconds before each further attempt, written out; the last one holds for those behind it."""


@dataclass(frozen=True, slots=True)
class Handler:
    """One arm of `on_error`. `then` is continue, fail or retry."""

    do: Block
    catch: str | None = None
    condition: Expression | None = None
    then: str = "continue"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its verb's own settings in `body`, and what any step may have."""

    path: str
    """Relative to its block: the index as text."""
    verb: str
    body: Any
    id: str | None = None
    name: str | None = None
    line: int = 0
    only_if: tuple[Expression, ...] = ()
    unless: tuple[Expression, ...] = ()
    timeout: float | None = None
    on_timeout: Template | Block | None = None
    """The step's value after a timeout, or the steps that make it."""
    retry: Retry | None = None
    on_error: tuple[Handler, ...] | None = None
    plain: bool = True
    """No policy at all: the machine's short way."""


@dataclass(frozen=True, slots=True)
class Block:
    """Steps in order; `suffix` is the block's part of the path (`then`, `elif/0`, `parallel/mail` …)."""

    suffix: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Call:
    action: str
    arguments: Template
    repeat: str


@dataclass(frozen=True, slots=True)
class Set:
    values: tuple[tuple[str, Template], ...]


@dataclass(frozen=True, slots=True)
class If:
    arms: tuple[tuple[Expression, Block], ...]
    otherwise: Block | None


@dataclass(frozen=True, slots=True)
class Switch:
    value: Expression
    cases: Mapping[tuple[str, Any], Block]
    """Keyed by JSON kind and value, so that `1` is not `"1"`."""
    default: Block | None


@dataclass(frozen=True, slots=True)
class Branch:
    name: str
    do: Block
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parallel:
    branches: tuple[Branch, ...]
    join: str | int | Expression
    at_once: int


@dataclass(frozen=True, slots=True)
class Foreach:
    items: Expression
    name: str
    do: Block
    at_once: int


@dataclass(frozen=True, slots=True)
class While:
    """Tested before each turn. More than `limit` turns are an error."""

    condition: Expression
    do: Block
    limit: int


@dataclass(frozen=True, slots=True)
class Until:
    """Tested after each turn, on what that turn made."""

    condition: Expression
    do: Block
    limit: int


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: Template | None
    moment: Expression | None


@dataclass(frozen=True, slots=True)
class RunFlow:
    flow: str
    arguments: Template
    detach: bool


@dataclass(frozen=True, slots=True)
class Emit:
    type: Template
    data: Template


@dataclass(frozen=True, slots=True)
class Queue:
    name: Template
    data: Template


@dataclass(frozen=True, slots=True)
class Respond:
    status: Template
    headers: Template
    kind: str
    """Which body key was given: json, text, body or none."""
    content: Template


@dataclass(frozen=True, slots=True)
class Try:
    do: Block
    closing: Block | None
    """The `finally` list of the scope."""


@dataclass(frozen=True, slots=True)
class Stop:
    status: str


@dataclass(frozen=True, slots=True)
class Fail:
    type: Template
    message: Template
    details: Template


Body = (
    Call
    | Set
    | If
    | Switch
    | Parallel
    | Foreach
    | While
    | Until
    | Wait
    | RunFlow
    | Emit
    | Queue
    | Respond
    | Try
    | Stop
    | Fail
)
"""What the keys of one verb say."""

BODIES: dict[str, type[Body]] = {
    "call": Call,
    "set": Set,
    "if": If,
    "switch": Switch,
    "parallel": Parallel,
    "foreach": Foreach,
    "while": While,
    "until": Until,
    "wait": Wait,
    "run": RunFlow,
    "emit": Emit,
    "queue": Queue,
    "respond": Respond,
    "try": Try,
    "stop": Stop,
    "fail": Fail,
}
"""The closed list of verbs, in the order in which messages name them. A verb `x` is read by the class of this name in
`flows/verbs/x.py`, and walked by the one in `reactor/engine/steps/x.py` (`x_.py` for words of Python)."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """One entry of `when`. `options` is the kind's frozen Options object; `source` names the shared source."""

    kind: str
    name: str
    options: Any
    source: str
    id: str | None = None
    where: tuple[Expression, ...] = ()
    accepts: Validator | None = None
    line: int = 0
    connection: str | None = None
    """The connection that its options name."""
    pattern: str | None = None
    """The types of the events that it takes, wherever they come from; None: those of its own source."""
    sender: str | None = None
    """With a pattern: the one `source` whose events it takes."""
    passive: bool = False
    """What the kind says of itself (`contracts/kinds.py`), this and what follows."""
    answers_sender: bool = False
    takes_messages: bool = False
    retires: bool = False
    one_reader: bool = False


@dataclass(frozen=True, slots=True)
class Dedupe:
    key: Expression
    seconds: float
    reuse: str


@dataclass(frozen=True, slots=True)
class Concurrency:
    key: Expression | None
    limit: int
    when_busy: str
    waiting: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole flow."""

    flow: str
    version: str
    source: str
    file: str
    folder: str
    triggers: tuple[Trigger, ...]
    do: Block
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    enabled: bool = True
    only_if: tuple[Expression, ...] = ()
    unless: tuple[Expression, ...] = ()
    dedupe: Dedupe | None = None
    concurrency: Concurrency | None = None
    vars: tuple[tuple[str, Template], ...] = ()
    timeout: float | None = None
    output: Template | None = None
    on_error: Block | None = None
    closing: Block | None = None
    """The flow's `finally`."""
    emit: str | None = None
    inputs: Validator | None = None
    environment: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    responds: bool = False
    """Whether some step answers the request that started the run."""
