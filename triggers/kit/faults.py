"""What client libraries raise, as the supervisor of sources takes it."""

from __future__ import annotations

from reactor.contracts.errors import NotConnected, NotReady, leading


def not_connected(kind: str, error: BaseException) -> NotConnected | NotReady:
    """What a client library raised, alone or in a group, as the supervisor takes it: the connection is lost, unless the
    error already says what it is."""
    error = leading(error)
    if isinstance(error, NotConnected | NotReady):
        return error
    return NotConnected(f"{kind}: {error or type(error).__name__}")
