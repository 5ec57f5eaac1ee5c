"""What happens, told once to everyone who watches: the log, the metrics, the stream, the traces, the sources.

A fact is told after the commit, so it is true. Its name, its fields and its level are a contract: the log writes them,
the stream sends them, and `facts.md` lists them. They stand in one file, long as it is, because it is read as a table.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, UnsetType

from reactor.contracts.event import StoredEvent, Verdict

Level = Literal["debug", "info", "warning", "error"]
Text = str | UnsetType
"""A field that is left out where it says nothing."""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """`NAME` is its dotted name, `LEVEL` that of its line in the log, `WORDS` the text of that line. A fact that has a
    field `message` or `level` says these itself. Fields in `INSIDE` are for observers in this process only."""

    NAME: ClassVar[str] = ""
    LEVEL: ClassVar[Level] = "info"
    WORDS: ClassVar[str] = ""
    INSIDE: ClassVar[tuple[str, ...]] = ()

    def shown(self) -> dict[str, Any]:
        """The fields that are logged and sent, in their order; those that say nothing are left out."""
        given = {}
        for name in _shown_names(type(self)):
            value = getattr(self, name)
            if value is not UNSET:
                given[name] = value
        return given


@functools.cache
def _shown_names(kind: type[Fact]) -> tuple[str, ...]:
    return tuple(name for name in kind.__struct_fields__ if name not in kind.INSIDE)


class EventAccepted(Fact, frozen=True, kw_only=True):
    """An event is durable, with the runs that it starts."""

    NAME, LEVEL, WORDS, INSIDE = "event.accepted", "debug", "event accepted", ("verdicts", "stored")
    event: str
    type: str
    origin: str
    seconds: float
    """From its arrival to its commit."""
    verdicts: list[Verdict]
    stored: StoredEvent


class QueuePushed(Fact, frozen=True, kw_only=True):
    """A message was put into a queue."""

    NAME, LEVEL, WORDS = "queue.pushed", "debug", "message pushed"
    queue: str
    message_id: str


class EventRefused(Fact, frozen=True, kw_only=True):
    """An event was not accepted; its sender knows."""

    NAME, LEVEL, WORDS = "event.refused", "debug", "event not accepted"
    origin: str
    type: str
    status: int
    """The HTTP status of the reason."""
    error: Text = UNSET


class RunStarted(Fact, frozen=True, kw_only=True):
    """A run goes on after the commit that began it. A run that ended in that commit has only `run.ended`."""

    NAME, LEVEL, WORDS = "run.started", "debug", "run started"
    run: str
    flow: str
    event: str


class StepEnded(Fact, frozen=True, kw_only=True):
    """One attempt of an action ended."""

    NAME, LEVEL, WORDS, INSIDE = "step.ended", "debug", "action ended", ("started", "stored")
    run: str
    flow: str
    step: str
    path: str
    action: str
    status: str
    """`succeeded`, `failed` or `cancelled`."""
    attempt: int
    seconds: float
    started: float
    stored: StoredEvent


class RunEnded(Fact, frozen=True, kw_only=True):
    """A run ended: it succeeded, failed or was cancelled."""

    NAME, WORDS, INSIDE = "run.ended", "run ended", ("started", "stored")
    run: str
    flow: str
    status: str
    seconds: float
    """From its start to its end, waits included."""
    started: float
    stored: StoredEvent


class RunPaused(Fact, frozen=True, kw_only=True):
    """A run is left to a person."""

    NAME, LEVEL, WORDS = "run.paused", "warning", "run paused"
    run: str
    error: str


class RunBroken(Fact, frozen=True, kw_only=True):
    """A defect of the daemon stopped a run; the run is paused."""

    NAME, LEVEL, WORDS = "run.broken", "error", "run stopped by a defect"
    run: str
    error: str
    trace: str
    """Python's traceback."""


class RunLost(Fact, frozen=True, kw_only=True):
    """Another owner has claimed a run; this daemon goes on with it no longer."""

    NAME, LEVEL, WORDS = "run.lost", "warning", "run belongs to another owner"
    run: str
    error: Text = UNSET


class ActionCrashed(Fact, frozen=True, kw_only=True):
    """An action raised what it should not raise; its step failed."""

    NAME, LEVEL, WORDS = "action.crashed", "error", "action failed unexpectedly"
    run: str
    step: str
    error: str


class ActionLog(Fact, frozen=True, kw_only=True):
    """The `log` action of a flow. Its own fields stand beside these."""

    NAME = "action.log"
    level: str
    message: str
    run: Text = UNSET
    flow: Text = UNSET
    step: Text = UNSET
    fields: dict[str, Any] = msgspec.field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        given = Fact.shown(self)
        del given["fields"]
        return given | self.fields


class StoreIsFull(Fact, frozen=True, kw_only=True):
    """The disk is full. Runs and flows wait for room."""

    NAME, LEVEL, WORDS = "store.full", "error", "the disk is full; waiting for room"
    run: Text = UNSET


class ResourceExhausted(Fact, frozen=True, kw_only=True):
    """The disk, the file descriptors or the memory limit are used up."""

    NAME, LEVEL, WORDS = "resource.exhausted", "error", "a resource is used up"
    resource: str
    error: str


class ResourceBack(Fact, frozen=True, kw_only=True):
    """A resource that was used up is there again."""

    NAME, WORDS = "resource.back", "a resource is there again"
    resource: str


class SourceListening(Fact, frozen=True, kw_only=True):
    """A source is ready for events."""

    NAME, WORDS = "source.listening", "source listens"
    source: str


class SourceDisconnected(Fact, frozen=True, kw_only=True):
    """A source stopped listening, and will try again."""

    NAME, LEVEL, WORDS = "source.disconnected", "warning", "source is not connected"
    source: str
    state: str
    error: str


class SourceWarning(Fact, frozen=True, kw_only=True):
    """A source works, and something about it needs a person."""

    NAME, LEVEL, WORDS = "source.warning", "warning", "source needs a look"
    source: str
    error: str


class SourceCrashed(Fact, frozen=True, kw_only=True):
    """A source raised what it should not raise."""

    NAME, LEVEL, WORDS = "source.crashed", "error", "source failed unexpectedly"
    source: str
    error: str


class SourceFailing(Fact, frozen=True, kw_only=True):
    """A source failed five times in a row. Told once, until it listens for a while."""

    NAME, LEVEL, WORDS = "source.failing", "error", "source fails again and again"
    source: str
    count: int
    error: str


class FlowLoaded(Fact, frozen=True, kw_only=True):
    """A flow, or a new version of it, is used."""

    NAME, WORDS = "flow.loaded", "flow loaded"
    flow: str
    version: str
    file: str


class FlowRefused(Fact, frozen=True, kw_only=True):
    """A flow file has an error; the message has its place."""

    NAME, LEVEL, WORDS = "flow.refused", "error", "flow not loaded"
    message: str


class FlowWarning(Fact, frozen=True, kw_only=True):
    """A flow file has a warning; the message has its place."""

    NAME, LEVEL, WORDS = "flow.warning", "warning", "flow warning"
    message: str


class FlowRemoved(Fact, frozen=True, kw_only=True):
    """A flow's file is gone; the flow starts no more runs."""

    NAME, WORDS = "flow.removed", "flow removed"
    flow: str


class FlowKept(Fact, frozen=True, kw_only=True):
    """At a start, a flow's file has errors, and the version that ran last is used."""

    NAME, LEVEL, WORDS = "flow.kept", "warning", "the flow's file has errors; the version that ran last is used"
    flow: str
    version: str
    file: str


class FlowPolling(Fact, frozen=True, kw_only=True):
    """The kernel does not tell of changed files, so the directories are read each second."""

    NAME, LEVEL = "flow.polling", "warning"
    WORDS = "the kernel does not tell of changed flows; the directories are looked at each second"
    error: str


class DaemonStarted(Fact, frozen=True, kw_only=True):
    """The daemon takes requests, and its flows are loaded."""

    NAME, WORDS = "daemon.started", "reactor is up"
    url: str
    flows: int
    version: str
    pid: int
    admin: Text = UNSET
    """The address of --admin-listen."""


class DaemonStopping(Fact, frozen=True, kw_only=True):
    """The daemon was asked to end, and lets its runs come to a point where they can go on later."""

    NAME, WORDS = "daemon.stopping", "reactor is stopping"
    active: int
    """Runs in memory."""


class DaemonStopped(Fact, frozen=True, kw_only=True):
    """The daemon ended; the store is closed."""

    NAME, WORDS = "daemon.stopped", "reactor has stopped"


class DaemonFailed(Fact, frozen=True, kw_only=True):
    """The store failed; the daemon ends."""

    NAME, LEVEL, WORDS = "daemon.failed", "error", "reactor failed"
    error: str


class ConnectionOpened(Fact, frozen=True, kw_only=True):
    """A connection works."""

    NAME, WORDS = "connection.opened", "connection is open"
    connection: str
    kind: str


class ConnectionLost(Fact, frozen=True, kw_only=True):
    """A connection failed; the next use opens it anew."""

    NAME, LEVEL, WORDS = "connection.lost", "warning", "connection failed"
    connection: str
    kind: Text = UNSET
    error: str


class PluginUp(Fact, frozen=True, kw_only=True):
    """A plugin's program answers."""

    NAME, WORDS = "plugin.up", "plugin is up"
    plugin: str
    version: str


class PluginDown(Fact, frozen=True, kw_only=True):
    """A plugin's program ended or does not answer; it is started again."""

    NAME, LEVEL, WORDS = "plugin.down", "warning", "plugin is down"
    plugin: str
    error: str | None
    again: float
    """Seconds until it is started again."""


class PluginRefused(Fact, frozen=True, kw_only=True):
    """A plugin's folder cannot be used."""

    NAME, LEVEL, WORDS = "plugin.refused", "error", "plugin not taken"
    error: str


class PluginLog(Fact, frozen=True, kw_only=True):
    """A plugin logs, or writes to its standard error."""

    NAME = "plugin.log"
    plugin: str
    level: Text = UNSET
    message: str


class PluginProgress(Fact, frozen=True, kw_only=True):
    """A plugin tells how far a call is."""

    NAME, LEVEL = "plugin.progress", "debug"
    plugin: str
    message: Text = UNSET
    percent: float | UnsetType = UNSET


class ProgramKilled(Fact, frozen=True, kw_only=True):
    """At a start, a program of a daemon that was killed still ran, and was ended."""

    NAME, LEVEL = "program.killed", "warning"
    WORDS = "a program of the daemon that was killed before was still running, and was ended"
    pid: int
    program: str


class TraceFailed(Fact, frozen=True, kw_only=True):
    """Traces could not be sent to the collector."""

    NAME, LEVEL, WORDS = "trace.failed", "warning", "traces are not sent"
    error: str


class RequestFailed(Fact, frozen=True, kw_only=True):
    """The daemon failed while it answered a request."""

    NAME, LEVEL, WORDS = "request.failed", "error", "request failed"
    method: Text = UNSET
    path: Text = UNSET
    error: str
    address: str | UnsetType | None = UNSET
    left_out: int | UnsetType = UNSET
    """How many of the kind were not told since the last."""


class TemporaryRemoved(Fact, frozen=True, kw_only=True):
    """At a start, a temporary folder of a killed process was removed."""

    NAME, WORDS = "temporary.removed", "removed what a killed process left behind"
    folder: str


class ConfigWarning(Fact, frozen=True, kw_only=True):
    """Something about the configuration needs a person."""

    NAME, LEVEL = "config.warning", "warning"
    message: str


class LibraryLog(Fact, frozen=True, kw_only=True):
    """A library logged a warning or an error."""

    NAME, LEVEL = "library.log", "warning"
    level: Level
    message: str
    library: str
    error: str | None


class LogLost(Fact, frozen=True, kw_only=True):
    """Log lines were lost."""

    NAME, LEVEL = "log.lost", "warning"
    WORDS = "log lines were lost, because nobody read the log or its disk was full"
    lines: int


class LogHeld(Fact, frozen=True, kw_only=True):
    """Lines that repeat were not written."""

    NAME, LEVEL, WORDS = "log.held", "warning", "repeated log lines were held back"
    of: Text = UNSET
    """The fact whose lines were held back."""
    lines: int


class RequestMalformed(Fact, frozen=True, kw_only=True):
    """A client sent what cannot be read as HTTP."""

    NAME, LEVEL, WORDS = "request.malformed", "warning", "a client sent what is not valid HTTP"
    error: str
    address: str | None
    left_out: int | UnsetType = UNSET
    """How many of the kind were not told since the last."""


class AuthRefused(Fact, frozen=True, kw_only=True):
    """A request had no right token or signature. Told for each."""

    NAME, LEVEL, WORDS = "auth.refused", "debug", "request without the right token"
    reason: str
    address: str


class AuthFailed(Fact, frozen=True, kw_only=True):
    """Requests had no right token or signature. Told once a burst."""

    NAME, LEVEL, WORDS = "auth.failed", "warning", "requests without the right token are refused"
    reason: str
    address: str
    left_out: int | UnsetType = UNSET
    """How many of the burst before were not told."""


class ListenPlain(Fact, frozen=True, kw_only=True):
    """An address beyond this machine has no TLS."""

    NAME, LEVEL = "listen.plain", "warning"
    message: str


class TlsLoaded(Fact, frozen=True, kw_only=True):
    """The certificate was read again."""

    NAME, WORDS = "tls.loaded", "certificate loaded"
    cert: str


class TlsRefused(Fact, frozen=True, kw_only=True):
    """The certificate could not be read again."""

    NAME, LEVEL, WORDS = "tls.refused", "error", "certificate not loaded; the one before stays"
    error: str


class ObserverFailed(Fact, frozen=True, kw_only=True):
    """An observer raised an exception and is told nothing any more."""

    NAME, LEVEL, WORDS = "observer.failed", "error", "observer failed and was unplugged"
    error: str


FACTS: dict[str, type[Fact]] = {one.NAME: one for one in Fact.__subclasses__()}
"""All facts by name, in the order of this file."""
