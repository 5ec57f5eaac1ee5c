"""The contracts of what flows name: base classes with all that others read of a kind, and its defaults."""

from __future__ import annotations

import hashlib
import typing
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import msgspec

from reactor.contracts.action import ActionContext
from reactor.contracts.trigger import TriggerContext

Given = TypeVar("Given", bound=msgspec.Struct, contravariant=True)
"""The struct of a kind's options."""
Asked = TypeVar("Asked", contravariant=True)
"""What an action is called with: its options, as a struct or what several share."""
Settings = TypeVar("Settings")
Client = TypeVar("Client")


class Kind(ABC):
    """What every kind says of itself."""

    name: ClassVar[str]
    """How flows name it."""
    summary: ClassVar[str]
    """A sentence, with its full stop."""
    example: ClassVar[str]
    """YAML that can be used as it is."""
    Options: ClassVar[type[msgspec.Struct]]
    """Frozen, without unknown fields; the text under each field is what the reference says of it."""

    @classmethod
    def problems(cls, options: Any) -> list[tuple[str, str]]:
        """What is wrong with `Options` whose types are right: (option, message)."""
        return []


class TriggerKind(Kind, Generic[Given]):
    """A kind of trigger: one class, one `listen`. `class Kafka(TriggerKind[Options])` names its options once; a class
    that leaves out what has no default is refused when it is defined."""

    event_type: ClassVar[str]
    """The type of its events; `*` for one of several parts (`row.*`), empty where senders choose it."""
    identity: ClassVar[bool] = False
    """Whether an event that is read twice is known: it has a key of its own, or moves the position."""
    event_fields: ClassVar[tuple[str, ...] | None] = None
    """Names that its events have under `event` besides those of all events, the second name of `data` included; None:
    any."""
    connection_kinds: ClassVar[tuple[str, ...]] = ()
    """The kinds of connection that its option `connection` may name; empty: it has no such option."""
    path_options: ClassVar[tuple[str, ...]] = ()
    """Options that are paths of files or folders, relative to the flow's folder."""
    shorthand_form: ClassVar[str | None] = None
    """A regular expression of the short form, for editors, where it is not one option written alone."""
    passive: ClassVar[bool] = False
    """Whether nothing of it listens: its events come by the API, by `emit` and by hand."""
    by_name: ClassVar[bool] = False
    """Whether it lets people and other flows start its flow by name; what it accepts are then the flow's inputs."""
    answers_sender: ClassVar[bool] = False
    """Whether someone waits for the answer to each event: it is told what was refused or finds no room, and is not
    cut off when the source stops. For any other kind the router keeps what is refused, and waits for room."""
    takes_messages: ClassVar[bool] = False
    """Whether listening takes what others would have had: for a flow that is disabled it must not."""
    retires: ClassVar[bool] = False
    """Whether it leaves something at the other side (a replication slot) that `retire` gives back."""
    one_reader: ClassVar[bool] = False
    """Whether one daemon at a time may read it, of those that share a store: nobody else deals its events out."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "Options" not in cls.__dict__:
            for base in cls.__dict__.get("__orig_bases__", ()):
                for given in typing.get_args(base):
                    if isinstance(given, type) and issubclass(given, msgspec.Struct):
                        cls.Options = given
        missing = [name for name in REQUIRED if not hasattr(cls, name)]
        if missing:
            raise TypeError(f"the trigger kind {cls.__name__} has no {', '.join(missing)}")

    def __init__(self, options: Given) -> None:
        """`options` has no problems."""
        self.options = options

    @classmethod
    def shorthand(cls, text: str) -> dict[str, object]:
        """Options from the short form. Raises ValueError."""
        raise ValueError("has no short form; write its options")

    @classmethod
    def problems(cls, options: Given) -> list[tuple[str, str]]:
        """What is wrong with options of the right types: (option, message)."""
        return []

    @classmethod
    def source(cls, options: Given, folder: str) -> str:
        """The name of the shared source: equal for equal options, written out or not. An option that a later release
        adds changes no name, and no position is lost with it. `folder` is the flow's."""
        data = msgspec.json.encode(_given(options, cls.path_options, folder), order="deterministic")
        return f"{cls.name}:{hashlib.sha256(data).hexdigest()[:16]}"

    @classmethod
    def claim(cls, options: Given) -> str | None:
        """What only one source may have, whatever its other options (`POST /hooks/orders`)."""
        return None

    @classmethod
    def secrets(cls, options: Given) -> list[tuple[str, str]]:
        """Secrets that the options name: (option, secret)."""
        return []

    @classmethod
    def inputs(cls, options: Given) -> dict[str, Any] | None:
        """The JSON Schema that its events have to fit, where the options have one."""
        return None

    @classmethod
    def pattern(cls, options: Given) -> str | None:
        """The types of the events that it takes, wherever they come from, as `type_matches` reads them; None: those of
        its own source."""
        return None

    @classmethod
    def sender(cls, options: Given) -> str | None:
        """With a pattern: the one `source` whose events it takes; None: any."""
        return None

    @abstractmethod
    async def listen(self, ctx: TriggerContext) -> None:
        """Emits events until cancelled. Called again after a pause when it raises NotConnected (the connection is lost)
        or NotReady (the connection is fine, what this source reads is not there)."""

    async def retire(self, ctx: TriggerContext) -> None:
        """Gives back what it left at the other side. Called (of a kind that `retires`) after `listen` was stopped
        because no flow names the source any longer, not when the daemon stops."""


REQUIRED = ("name", "summary", "example", "Options", "event_type")
"""What each kind of trigger says itself."""


def _given(options: msgspec.Struct, paths: tuple[str, ...], folder: str) -> dict[str, Any]:
    """The options that are not what they would be by themselves; paths from the root on, where the folder is known."""
    given = {}
    for field in msgspec.structs.fields(options):
        value = getattr(options, field.name)
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if value != default:
            in_folder = folder and field.name in paths and isinstance(value, str)
            given[field.encode_name] = str(Path(folder, value).absolute()) if in_folder else value
    return given


class ActionKind(Kind, Generic[Asked]):
    """A kind of action: one class, one async call. One instance serves all steps, so it keeps nothing of a call."""

    repeat: ClassVar[str]
    """safe, keyed or never: what a crash in the middle means."""
    needs: ClassVar[str | None] = None
    """The `--allow` word without which a flow that uses it is not loaded."""
    result_fields: ClassVar[tuple[str, ...] | None] = None
    """The fields of the result, which flows may read; None: any."""
    connection_kinds: ClassVar[tuple[str, ...]] = ()
    """The kinds of connection that its option `connection` may name; empty: it has no such option."""
    uses_collection: ClassVar[bool] = False
    """Whether its option `collection` names one of the flows' own."""
    literal_options: ClassVar[tuple[str, ...]] = ()
    """Options that the author writes out, no expression in them: what an event says never becomes code. A place
    inside is named with dots (`statements.query`)."""
    path_options: ClassVar[tuple[str, ...]] = ()
    """Options that are paths of files or folders. A place inside is named with dots; elements of lists count as the
    list (`attach.path`)."""
    reading_options: ClassVar[tuple[str, ...]] = ()
    """Those of `path_options` of which it only reads: what was uploaded may stand there."""
    retry_waits: ClassVar[tuple[float, ...]] = ()
    """Seconds before each further attempt of a step that says nothing of `retry`."""

    @abstractmethod
    async def run(self, options: Asked, context: ActionContext) -> object:
        """Acts and returns plain JSON data. Raises StepFailed; must let cancellation through promptly."""


class ConnectionKind(Kind, Generic[Settings, Client]):
    """A kind of connection. What `open` gives is shared by all who use the name; a protocol that serves one caller at
    a time keeps its own pool inside."""

    schemes: ClassVar[tuple[str, ...]] = ()
    """URL schemes that stand for a connection of this kind (`connection: redis://host`)."""

    def __init__(self, options: Settings) -> None:
        """`options` has no problems."""
        self.options = options

    @classmethod
    def from_url(cls, url: str) -> dict[str, object]:
        """Settings from a URL. Raises ValueError."""
        raise ValueError(f"a connection of the kind {cls.name} has no URL")

    @abstractmethod
    async def open(self) -> Client:
        """Raises NotConnected."""

    @abstractmethod
    async def check(self, client: Client) -> None:
        """One exchange with the other side that changes nothing there. Raises NotConnected."""

    @abstractmethod
    async def close(self, client: Client) -> None: ...


AnyTrigger: TypeAlias = TriggerKind[Any]
AnyAction: TypeAlias = ActionKind[Any]
AnyConnection: TypeAlias = ConnectionKind[Any, Any]
