"""Structured logs: lines for people on a terminal, JSON otherwise."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable
from typing import Any, TextIO

import msgspec

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
FACTS: dict[str, tuple[str, str]] = {
    "event.accepted": ("debug", "event accepted"),
    "queue.pushed": ("debug", "message pushed"),
    "event.refused": ("debug", "event not accepted"),
    "run.started": ("debug", "run started"),
    "step.ended": ("debug", "action ended"),
    "run.ended": ("info", "run ended"),
    "run.paused": ("warning", "run paused"),
    "run.broken": ("error", "run stopped by a defect"),
    "run.lost": ("warning", "run belongs to another owner"),
    "action.crashed": ("error", "action failed unexpectedly"),
    "action.log": ("info", ""),
    "store.full": ("error", "the disk is full; waiting for room"),
    "resource.exhausted": ("error", "a resource is used up"),
    "resource.back": ("info", "a resource is there again"),
    "source.listening": ("info", "source listens"),
    "source.disconnected": ("warning", "source is not connected"),
    "source.warning": ("warning", "source needs a look"),
    "source.crashed": ("error", "source failed unexpectedly"),
    "flow.loaded": ("info", "flow loaded"),
    "flow.refused": ("error", "flow not loaded"),
    "flow.warning": ("warning", "flow warning"),
    "flow.removed": ("info", "flow removed"),
    "daemon.started": ("info", "reactor is up"),
    "daemon.stopping": ("info", "reactor is stopping"),
    "daemon.stopped": ("info", "reactor has stopped"),
    "daemon.failed": ("error", "reactor failed"),
    "connection.opened": ("info", "connection is open"),
    "connection.lost": ("warning", "connection failed"),
    "plugin.up": ("info", "plugin is up"),
    "plugin.down": ("warning", "plugin is down"),
    "plugin.refused": ("error", "plugin not taken"),
    "plugin.log": ("info", ""),
    "plugin.progress": ("debug", ""),
    "trace.failed": ("warning", "traces are not sent"),
    "request.failed": ("error", "request failed"),
    "observer.failed": ("error", "observer failed and was unplugged"),
}


class Log:
    """Writes facts to a stream. `format` is text or json; `mask` takes secrets out of a line."""

    def __init__(
        self,
        level: str = "info",
        format: str | None = None,
        stream: TextIO | None = None,
        mask: Callable[[str], str] | None = None,
    ) -> None:
        self._mask = mask
        self._stream = stream if stream is not None else sys.stderr
        self._least = LEVELS[level]
        self._json = format == "json" or (format is None and not self._stream.isatty())

    def listener(self, fact: str) -> Callable[[dict[str, Any]], None] | None:
        """None for a fact that is never written; `action.log` says its own level."""
        if fact not in ("action.log", "plugin.log") and LEVELS[FACTS.get(fact, ("info", ""))[0]] < self._least:
            return None
        return lambda fields: self.observe(fact, **fields)

    def observe(self, fact: str, **fields: Any) -> None:
        default, words = FACTS.get(fact, ("info", fact))
        level = str(fields.pop("level", default))
        if LEVELS.get(level, 20) < self._least:
            return
        message = str(fields.pop("message", words))
        fields = {name: value for name, value in fields.items() if not name.startswith("_")}
        moment = datetime.datetime.now(datetime.UTC)
        if self._json:
            stamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            record = {"time": stamp, "level": level, "fact": fact, "message": message, **fields}
            line = msgspec.json.encode(record, enc_hook=str).decode()
        else:
            extra = " ".join(f"{key}={_plain(value)}" for key, value in fields.items() if value is not None)
            line = f"{moment.astimezone().strftime('%H:%M:%S')} {level:<7} {message} {extra}".rstrip()
        if self._mask is not None:
            line = self._mask(line)
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
    text = text.replace("\r", "\\r")
    return text if " " not in text or "\n" in text else f'"{text}"'


Listener = Callable[[dict[str, Any]], None]


class Observers:
    """All observers as one; one that fails is unplugged. An observer gives a `listener(fact)` for what it wants to
    hear, asked once a fact; one without it hears everything by `observe`."""

    def __init__(self, *observers: Any) -> None:
        self._observers = list(observers)
        self._heard: dict[str, list[tuple[Any, Listener]]] = {}

    def add(self, observer: Any) -> None:
        self._observers.append(observer)
        self._heard.clear()

    def observe(self, fact: str, **fields: Any) -> None:
        """A field whose name begins with `_` is for observers in this process, never written out."""
        heard = self._heard.get(fact)
        if heard is None:
            heard = self._heard[fact] = self._listeners(fact)
        for observer, listener in heard:
            try:
                listener(fields)
            except Exception as error:
                self._observers.remove(observer)
                self._heard.clear()
                self.observe("observer.failed", error=repr(error))

    def _listeners(self, fact: str) -> list[tuple[Any, Listener]]:
        found = []
        for observer in self._observers:
            if hasattr(observer, "listener"):
                listener = observer.listener(fact)
                if listener is not None:
                    found.append((observer, listener))
            else:
                found.append((observer, lambda fields, one=observer: one.observe(fact, **fields)))
        return found
