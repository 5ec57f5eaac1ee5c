"""The contracts of what flows name: base classes with all that others read of a kind, and its defaults."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import msgspec

from reactor.contracts.action import ActionContext

Given = TypeVar("Given", contravariant=True)
"""The struct of a kind's options."""
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


class ActionKind(Kind, Generic[Given]):
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
    async def run(self, options: Given, context: ActionContext) -> object:
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


AnyAction: TypeAlias = ActionKind[Any]
AnyConnection: TypeAlias = ConnectionKind[Any, Any]
