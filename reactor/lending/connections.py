"""Open connections: one client a name, shared by all who use it, looked after, closed when nobody needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec

from flows.connections import Connection
from flows.expressions.template import compile_template
from reactor.contracts.clock import Clock
from reactor.contracts.errors import NotConnected, NotReady, StepFailed, leading
from reactor.contracts.facts import ConnectionLost, ConnectionOpened
from reactor.contracts.kinds import AnyConnection
from reactor.contracts.observe import Observer
from reactor.contracts.plan import Template
from reactor.contracts.registry import Registry
from reactor.contracts.states import ConnectionState
from reactor.kit.urls import quoted, secrets_of, shown_url
from reactor.secrets.given import Secrets
from reactor.secrets.masking import SHORTEST, mask, parts

CHECK_EVERY = 30.0
"""Seconds between two looks at an open connection."""
CHECK_WITHIN = 10.0
OPEN_WITHIN = 30.0
IDLE_URL = 300.0
"""Seconds after which a connection that was given as a URL is closed, when nobody uses it."""
MAX_URLS = 200


class Health(msgspec.Struct, frozen=True):
    """How a connection is; no settings. `file` is None for one that was given as a URL."""

    name: str
    kind: str
    state: ConnectionState
    error: str | None
    users: int
    file: str | None


class Entry:
    """One connection: its settings, and its client while it is open."""

    def __init__(self, name: str, kind: str, settings: Template | None, source: str, file: str | None) -> None:
        self.name = name
        self.kind = kind
        self.settings = settings
        self.source = source
        self.file = file
        self.client: Any = None
        self.instance: AnyConnection | None = None
        self.state = ConnectionState.idle
        self.error: str | None = None
        self.users = 0
        self.used = 0.0
        self.since: float | None = None
        self.retired = False
        self.lock = anyio.Lock()
        self.given: dict[str, str] = {}

    def keep(self, secrets: Mapping[str, str], urls: Iterable[Any] = ()) -> None:
        """What is masked wherever it is mentioned: secrets, and the passwords that stand in its URLs."""
        found = {secret for url in urls if isinstance(url, str) for secret in secrets_of(url)}
        own = sorted(secret for secret in found if len(secret) >= SHORTEST)
        self.given = {**secrets, **{f"url {place}": secret for place, secret in enumerate(own)}}

    def masked(self, error: object) -> str:
        return str(mask(str(error), parts(self.given.values())))


class Connections:
    """`kinds` is the registry of connection kinds; `secret` looks a secret up; `environment` is what flows may read."""

    def __init__(
        self,
        kinds: Registry[AnyConnection],
        secret: Callable[[str], str],
        environment: Mapping[str, str],
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._kinds = kinds
        self._secret = secret
        self._environment = environment
        self._clock = clock
        self._observer = observer
        self._entries: dict[str, Entry] = {}
        self._retired: list[Entry] = []

    def update(self, connections: Mapping[str, Connection]) -> set[str]:
        """Takes over what the files say now; the names whose settings changed. Clients in use live on until they are
        given back."""
        changed: set[str] = set()
        for name, entry in list(self._entries.items()):
            found = connections.get(name)
            if entry.file is not None and (found is None or (found.settings and found.source != entry.source)):
                entry.retired = True
                self._retired.append(self._entries.pop(name))
                changed.add(name)
        for name, one in connections.items():
            if one.settings is not None and name not in self._entries:
                self._entries[name] = Entry(name, one.kind, one.settings, one.source, one.file)
        return changed

    def secrets_of(self, name: str) -> dict[str, str]:
        """The secrets that an open connection was given."""
        entry = self._entries.get(name)
        return entry.given if entry is not None else {}

    @asynccontextmanager
    async def lend(self, name: str) -> AsyncIterator[Any]:
        """The client of a connection, by name or URL. Raises NotConnected.

        What the block raises decides about the shared client: NotConnected closes it, and the next who asks opens
        another. Any other error is the borrower's own (NotReady, StepFailed): the client lives on for the rest."""
        async with self._lend(self._entry(name)) as client:
            yield client

    @asynccontextmanager
    async def _lend(self, entry: Entry) -> AsyncIterator[Any]:
        entry.users += 1
        client: Any = None
        try:
            client = await self._open(entry)
            yield client
        except NotConnected as error:
            error.args = (entry.masked(error),)
            await self._failed(entry, client, error)
            raise
        except NotReady as error:
            error.args = (entry.masked(error),)
            raise
        except ExceptionGroup as errors:
            fault = leading(errors)
            if isinstance(fault, NotConnected | NotReady):
                fault.args = (entry.masked(fault),)
            if isinstance(fault, NotConnected):
                await self._failed(entry, client, fault)
            if isinstance(fault, NotConnected | NotReady):
                raise fault from None
            raise
        finally:
            entry.users -= 1
            entry.used = self._clock.monotonic()
            if entry.retired and not entry.users:
                with anyio.CancelScope(shield=True):
                    await self._close(entry)

    def _entry(self, name: str) -> Entry:
        found = self._entries.get(name)
        if found is not None:
            return found
        if "://" not in name:
            raise NotConnected(f"there is no connection {name}")
        scheme = name.partition("://")[0]
        for kind in self._kinds.names():
            cls = self._kinds.get(kind)
            if scheme in cls.schemes:
                entry = Entry(name, kind, None, name, None)
                entry.keep({}, [name])
                try:
                    entry.settings = compile_template(cls.from_url(quoted(name)), _no_expression)
                except ValueError as error:
                    raise NotConnected(entry.masked(f"{scheme}:// URL: {error}")) from None
                self._entries[name] = entry
                return entry
        raise NotConnected(f"no kind of connection takes {scheme}:// URLs")

    async def _open(self, entry: Entry) -> Any:
        async with entry.lock:
            if entry.client is None:
                assert entry.settings is not None
                secrets = Secrets(self._secret)
                cls = self._kinds.get(entry.kind)
                given: dict[str, Any] = {}
                try:
                    given = entry.settings.render({"secrets": secrets, "env": dict(self._environment)})
                    entry.keep(secrets.given, [entry.name, *given.values()])
                    whole = {name: quoted(value) if isinstance(value, str) else value for name, value in given.items()}
                    options = msgspec.convert(whole, cls.Options, strict=False)
                    problems = cls.problems(options)
                except (msgspec.ValidationError, StepFailed, ValueError) as error:
                    entry.keep(secrets.given, [entry.name, *given.values()])
                    raise NotConnected(entry.masked(f"{shown_url(entry.name)}: {error}")) from None
                if problems:
                    text = "; ".join(f"{option}: {message}" for option, message in problems)
                    raise NotConnected(entry.masked(f"{shown_url(entry.name)}: {text}"))
                entry.instance = cls(options)
                try:
                    with anyio.fail_after(OPEN_WITHIN):
                        entry.client = await entry.instance.open()
                except TimeoutError:
                    raise NotConnected(f"{shown_url(entry.name)} did not open within {OPEN_WITHIN:g} s") from None
                except NotConnected as error:
                    raise NotConnected(entry.masked(error)) from None
                except Exception as error:
                    raise NotConnected(entry.masked(_unexpected(entry, error))) from None
                self._up(entry)
        return entry.client

    def _up(self, entry: Entry) -> None:
        if entry.state is not ConnectionState.connected:
            self._observer.observe(ConnectionOpened(connection=shown_url(entry.name), kind=entry.kind))
        entry.state, entry.error, entry.since = ConnectionState.connected, None, self._clock.now()

    async def _failed(self, entry: Entry, client: Any, error: Exception) -> None:
        """A client that lost its other side is opened anew for the next who asks. One that was opened since is another:
        reports about the old one do not touch it."""
        if entry.client is not client:
            return
        text = entry.masked(error)
        if entry.state is not ConnectionState.disconnected:
            self._observer.observe(ConnectionLost(connection=shown_url(entry.name), kind=entry.kind, error=text))
        entry.state, entry.error = ConnectionState.disconnected, text
        if entry.client is not None:
            with anyio.CancelScope(shield=True):
                await self._close(entry)

    async def _close(self, entry: Entry) -> None:
        client, entry.client = entry.client, None
        if entry in self._retired:
            self._retired.remove(entry)
        if client is not None and entry.instance is not None:
            with anyio.move_on_after(5.0):
                try:
                    await entry.instance.close(client)
                except Exception as error:
                    self._observer.observe(
                        ConnectionLost(connection=shown_url(entry.name), error=entry.masked(repr(error)))
                    )

    async def check(self, name: str) -> str | None:
        """Opens a connection and makes one exchange; None, or what is wrong."""
        try:
            entry = self._entry(name)
            async with self._lend(entry) as client:
                await self._try(entry, client)
        except NotConnected as error:
            return str(error)
        self._up(entry)
        return None

    async def _try(self, entry: Entry, client: Any) -> None:
        """Raises NotConnected, whatever the client's library raises: that costs this connection, not the daemon."""
        try:
            assert entry.instance is not None
            with anyio.fail_after(CHECK_WITHIN):
                await entry.instance.check(client)
        except TimeoutError:
            raise NotConnected(f"no answer within {CHECK_WITHIN:g} s") from None
        except (NotConnected, StepFailed) as error:
            raise NotConnected(entry.masked(error)) from None
        except Exception as error:
            raise NotConnected(entry.masked(_unexpected(entry, error))) from None

    async def watch(self) -> None:
        """Looks after what is open, until cancelled."""
        while True:
            await self._clock.sleep(CHECK_EVERY)
            for entry in list(self._retired):
                if not entry.users:
                    await self._close(entry)
            for name, entry in list(self._entries.items()):
                if self._entries.get(name) is not entry:
                    continue
                idle = self._clock.monotonic() - entry.used
                if entry.file is None and not entry.users and (idle > IDLE_URL or len(self._entries) > MAX_URLS):
                    del self._entries[name]
                    await self._close(entry)
                elif entry.client is not None or entry.state is ConnectionState.disconnected:
                    await self.check(name)

    def items(self) -> list[Health]:
        return [
            Health(shown_url(entry.name), entry.kind, entry.state, entry.error, entry.users, entry.file)
            for _, entry in sorted(self._entries.items())
        ]

    async def close(self) -> None:
        for entry in [*self._entries.values(), *self._retired]:
            await self._close(entry)


def _no_expression(*_: Any) -> Any:
    raise ValueError("a URL holds no expression")


def _unexpected(entry: Entry, error: Exception) -> str:
    return f"{entry.kind}: {type(error).__name__}: {error}"
