"""What trigger kinds have in common at load time."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

import msgspec

from reactor.contracts.errors import NotConnected, NotReady, leading


class Kind:
    """Defaults of a kind: no short form, no further checks, a source named by kind and options."""

    name: ClassVar[str]
    Options: ClassVar[type[msgspec.Struct]]
    event_type: ClassVar[str] = ""
    identity: ClassVar[bool] = False
    connection_kinds: ClassVar[tuple[str, ...]] = ()

    def __init__(self, options: Any) -> None:
        self.options = options

    @classmethod
    def shorthand(cls, text: str) -> dict[str, Any]:
        """Options from the short form. Raises ValueError."""
        raise ValueError("has no short form; write its options")

    @classmethod
    def problems(cls, options: Any) -> list[tuple[str, str]]:
        """What is wrong with options of the right types: (option, message)."""
        return []

    @classmethod
    def source(cls, options: Any, folder: str) -> str:
        """The name of the shared source: equal for equal options, written out or not. An option that a later release
        adds changes no name, and no position is lost with it."""
        data = msgspec.json.encode(_given(options), order="deterministic")
        return f"{cls.name}:{hashlib.sha256(data).hexdigest()[:16]}"

    @classmethod
    def claim(cls, options: Any) -> str | None:
        """What only one source may have, whatever its other options (`POST /hooks/orders`)."""
        return None

    @classmethod
    def secrets(cls, options: Any) -> list[tuple[str, str]]:
        """Secrets that the options name: (option, secret)."""
        return []


def _given(options: Any) -> dict[str, Any]:
    """The options that are not what they would be by themselves."""
    given = {}
    for field in msgspec.structs.fields(options):
        value = getattr(options, field.name)
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if value != default:
            given[field.encode_name] = value
    return given


def first_of(error: BaseException) -> BaseException:
    """The fault of a group that counts, however deep."""
    return leading(error)


def not_connected(kind: str, error: BaseException) -> NotConnected | NotReady:
    """What a client library raised, alone or in a group, as the supervisor takes it: the connection is lost, unless the
    error already says what it is."""
    error = leading(error)
    if isinstance(error, NotConnected | NotReady):
        return error
    return NotConnected(f"{kind}: {error or type(error).__name__}")
