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
    "source.listening": ("info", "source listens"),
    "source.disconnected": ("warning", "source is not connected"),
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

    def wants(self, fact: str) -> bool:
        """Whether a fact may be written at all; `action.log` says its own level."""
        return fact == "action.log" or LEVELS[FACTS.get(fact, ("info", ""))[0]] >= self._least

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


class Observers:
    """All observers as one; one that fails is unplugged. An observer with `wants(fact)` is asked once a fact what it
    wants to hear."""

    def __init__(self, *observers: Any) -> None:
        self._observers = list(observers)
        self._by_fact: dict[str, tuple[Any, ...]] = {}

    def add(self, observer: Any) -> None:
        self._observers.append(observer)
        self._by_fact.clear()

    def observe(self, fact: str, **fields: Any) -> None:
        """A field whose name begins with `_` is for observers in this process, never written out."""
        heard = self._by_fact.get(fact)
        if heard is None:
            heard = self._by_fact[fact] = tuple(
                one for one in self._observers if not hasattr(one, "wants") or one.wants(fact)
            )
        for observer in heard:
            try:
                observer.observe(fact, **fields)
            except Exception as error:
                self._observers.remove(observer)
                self._by_fact.clear()
                self.observe("observer.failed", error=repr(error))
