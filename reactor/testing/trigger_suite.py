"""What every trigger must do. `Recorder` is the context a trigger is run in: it keeps what was emitted, with the
cursors, and can be given a second life with the same position."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import msgspec

from reactor.contracts.clock import Clock
from reactor.contracts.errors import NotConnected, NotReady, leading
from reactor.contracts.event import Cursor, Event, Upload
from reactor.contracts.kinds import AnyTrigger
from reactor.contracts.store import QueueMessage
from reactor.contracts.trigger import HttpRoute, Receipt
from reactor.kit.clock import SystemClock


class Mount:
    """Routes that an http trigger added."""

    def __init__(self) -> None:
        self.routes: list[HttpRoute] = []

    def add(self, route: HttpRoute) -> None:
        self.routes.append(route)

    def remove(self, route: HttpRoute) -> None:
        self.routes.remove(route)


class _Known:
    """A receipt that is there; one that nobody awaits is no fault."""

    def __init__(self, receipt: Receipt) -> None:
        self._receipt = receipt

    def __await__(self) -> Generator[Any, None, Receipt]:
        yield from ()
        return self._receipt


class Recorder:
    """Fulfils TriggerContext. `position` outlives the recorder, as the store outlives a daemon."""

    def __init__(self, position: dict[str, Any] | None = None, folder: str = "/", clock: Clock | None = None) -> None:
        self.position = position if position is not None else {}
        self.folder = folder
        self.clock: Clock = clock or SystemClock()
        self.http = Mount()
        self.connections: Any = None
        self.payloads: Any = None
        self.behind: float | None = None
        self.reads: str | None = None
        self.warning: str | None = None
        self.warnings: list[str] = []
        """All that was warned of, in its order."""
        self.warned = anyio.Event()
        self.messages: list[QueueMessage] = []
        self.events: list[Event] = []
        self.is_ready = anyio.Event()
        self._news = anyio.Event()

    async def ready(self) -> None:
        self.is_ready.set()

    async def emit(
        self,
        event: Event,
        wait: float | None = None,
        cursors: Sequence[Cursor] = (),
        uploads: Sequence[Upload] = (),
        taken: str | None = None,
    ) -> Receipt:
        await anyio.lowlevel.checkpoint()
        self.events.append(event)
        self._apply(cursors)
        self._news.set()
        self._news = anyio.Event()
        return Receipt(event=f"evt_{len(self.events)}", runs=[], verdicts=[])

    async def emit_many(self, events: Sequence[Event], cursors: Sequence[Cursor] = ()) -> list[Receipt]:
        receipts = [await self.emit(event) for event in events]
        self._apply(cursors)
        return receipts

    async def offer(self, event: Event, cursors: Sequence[Cursor] = ()) -> Awaitable[Receipt]:
        return _Known(await self.emit(event, cursors=cursors))

    def _apply(self, cursors: Sequence[Cursor]) -> None:
        for cursor in cursors:
            if cursor.value is None:
                self.position.pop(cursor.item, None)
            else:
                self.position[cursor.item] = cursor.value

    async def take(self, queue: str, at_once: int) -> list[QueueMessage]:
        if not self.messages:
            await anyio.sleep_forever()
        taken, self.messages = self.messages[:at_once], self.messages[at_once:]
        return taken

    async def cursor(self) -> dict[str, Any]:
        return dict(self.position)

    async def move(self, items: dict[str, Any]) -> None:
        self._apply([self.at(item, value) for item, value in items.items()])

    def at(self, item: str, value: Any) -> Cursor:
        return Cursor("source", item, value)

    def responds(self) -> bool:
        return False

    def secret(self, name: str) -> str:
        return f"value of {name}"

    def connection(self, name: str) -> Any:
        return self.connections.lend(name)

    def identity(self) -> str:
        return f"{self.folder}/source"

    def lag(self, messages: float | None) -> None:
        self.behind = messages

    def reading(self, what: str | None) -> None:
        self.reads = what

    def warn(self, message: str | None) -> None:
        self.warning = message
        if message is not None:
            self.warnings.append(message)
            self.warned.set()

    def random(self) -> float:
        return 0.5

    async def wait_events(self, count: int, seconds: float = 10.0) -> list[Event]:
        """The events once there are so many."""
        with anyio.fail_after(seconds):
            while len(self.events) < count:
                await self._news.wait()
        return self.events


async def becomes_ready_and_stops_promptly(
    kind: type[AnyTrigger], options: msgspec.Struct, folder: str = "/", connections: Any = None, seconds: float = 5.0
) -> None:
    """`listen` calls `ready`, then listens until cancelled, and cancellation is prompt and clean. `connections` lends
    to kinds that need one."""
    recorder = Recorder(folder=folder)
    recorder.connections = connections
    with anyio.fail_after(seconds):
        async with anyio.create_task_group() as group:
            group.start_soon(kind(options).listen, recorder)
            await recorder.is_ready.wait()
            group.cancel_scope.cancel()
    if recorder.http.routes:
        raise AssertionError("routes were left behind")


async def resumes_where_it_was(
    kind: type[AnyTrigger],
    options: msgspec.Struct,
    folder: str,
    make: Callable[[int], Awaitable[None]],
    count: int = 3,
    connections: Any = None,
) -> None:
    """Events before and after a restart: none missed, none repeated (but under its own key). `make(n)` causes the n-th
    event."""
    position: dict[str, Any] = {}
    seen: list[Event] = []
    for life in range(2):
        recorder = Recorder(position, folder)
        recorder.connections = connections
        async with anyio.create_task_group() as group:
            if life:
                for number in range(count, 2 * count):
                    await make(number)
            group.start_soon(kind(options).listen, recorder)
            await recorder.is_ready.wait()
            if not life:
                for number in range(count):
                    await make(number)
            keys = {event.key for event in seen if event.key is not None}
            while len([e for e in recorder.events if e.key not in keys]) < count:
                await recorder.wait_events(len(recorder.events) + 1)
            group.cancel_scope.cancel()
        known = {event.key for event in seen if event.key is not None}
        seen.extend(event for event in recorder.events if event.key not in known)
    brings_what_it_says(kind, seen)
    if len(seen) != 2 * count:
        raise AssertionError(f"{len(seen)} events instead of {2 * count}: {seen}")


async def notices_what_is_taken_away(
    kind: type[AnyTrigger],
    options: msgspec.Struct,
    make: Callable[[int], Awaitable[None]],
    take_away: Callable[[], Awaitable[None]],
    give_back: Callable[[], Awaitable[None]],
    connections: Any = None,
    seconds: float = 60.0,
    shared: bool = True,
) -> Recorder:
    """The other side takes away what the source reads: a queue, a stream, a consumer. The source never listens to
    nothing: it notices, says the gap as a warning, blames no connection, and reads again what is there anew. `make(n)`
    causes an event whose data says `n`; `shared` is False for a kind with a connection of its own."""
    recorder = Recorder()
    recorder.connections = connections
    raised: list[BaseException] = []
    noticed = recorder.warned

    async def supervise() -> None:
        while True:
            try:
                await kind(options).listen(recorder)
            except (NotReady, NotConnected, ExceptionGroup) as error:
                raised.append(leading(error))
                noticed.set()
            recorder.is_ready = anyio.Event()
            await anyio.sleep(0.05)

    async def reads(number: int) -> None:
        """Until one comes in."""
        before = len(recorder.events)
        while len(recorder.events) == before:
            await recorder.is_ready.wait()
            await make(number)
            with anyio.move_on_after(0.5):
                await recorder.wait_events(before + 1, seconds)

    with anyio.fail_after(seconds):
        async with anyio.create_task_group() as group:
            group.start_soon(supervise)
            await reads(0)
            await take_away()
            await noticed.wait()
            await give_back()
            await reads(1)
            group.cancel_scope.cancel()
    brings_what_it_says(kind, recorder.events)
    if not recorder.warnings:
        raise AssertionError(f"the gap was not said: {raised}")
    if shared and (blamed := [error for error in raised if not isinstance(error, NotReady)]):
        raise AssertionError(f"the connection was blamed: {blamed}")
    return recorder


def brings_what_it_says(kind: type[AnyTrigger], events: Sequence[Event]) -> None:
    """Names under `event` are those that the kind declares."""
    fields = kind.event_fields
    for event in events:
        given = {*event.fields, *filter(None, [event.alias])}
        if fields is not None and not given <= set(fields):
            raise AssertionError(f"{kind.name} does not declare the fields {sorted(given - set(fields))}")


def says_what_it_is(kind: type[AnyTrigger]) -> None:
    """Name, summary, closed and frozen options with a description each, an example."""
    from reactor.kinds.reference import option_rows

    config = kind.Options.__struct_config__
    if not (
        kind.name and kind.summary.endswith(".") and kind.example and config.frozen and config.forbid_unknown_fields
    ):
        raise AssertionError(f"{kind} is not described")
    for row in option_rows(kind.Options):
        if not row["description"]:
            raise AssertionError(f"{kind.name}: the option {row['name']} has no description")
