"""Structured logs: lines for people on a terminal, JSON otherwise."""

from __future__ import annotations

import datetime
import functools
import os
import time
from collections.abc import Callable
from typing import Any

import msgspec

from reactor.contracts.text import clean, shown
from reactor.observe.limits import Limiter
from reactor.observe.writer import LineWriter

MAX_MESSAGE = 8 * 1024
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
    "source.failing": ("error", "source fails again and again"),
    "flow.loaded": ("info", "flow loaded"),
    "flow.refused": ("error", "flow not loaded"),
    "flow.warning": ("warning", "flow warning"),
    "flow.removed": ("info", "flow removed"),
    "flow.kept": ("warning", "the flow's file has errors; the version that ran last is used"),
    "flow.polling": ("warning", "the kernel does not tell of changed flows; the directories are looked at each second"),
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
    "program.killed": ("warning", "a program of the daemon that was killed before was still running, and was ended"),
    "trace.failed": ("warning", "traces are not sent"),
    "request.failed": ("error", "request failed"),
    "temporary.removed": ("info", "removed what a killed process left behind"),
    "config.warning": ("warning", ""),
    "library.log": ("warning", ""),
    "log.lost": ("warning", "log lines were lost, because nobody read the log or its disk was full"),
    "log.held": ("warning", "repeated log lines were held back"),
    "request.malformed": ("warning", "a client sent what is not valid HTTP"),
    "auth.refused": ("debug", "request without the right token"),
    "auth.failed": ("warning", "requests without the right token are refused"),
    "listen.plain": ("warning", ""),
    "tls.loaded": ("info", "certificate loaded"),
    "tls.refused": ("error", "certificate not loaded; the one before stays"),
    "observer.failed": ("error", "observer failed and was unplugged"),
}


BURST = {"plugin.log": ("plugin", 200)}
"""Facts whose lines differ: the field that tells the speakers apart, and how many lines each has in a window."""
REPEATS = 10
"""How often one and the same warning or error is written in a window."""


class Log:
    """Writes facts to a descriptor (standard error). `format` is text or json; `mask` takes secrets out of a line."""

    def __init__(
        self,
        level: str = "info",
        format: str | None = None,
        descriptor: int = 2,
        mask: Callable[[str], str] | None = None,
    ) -> None:
        self._mask = mask
        self._least = LEVELS[level]
        self._json = format == "json" or (format is None and not os.isatty(descriptor))
        self._limiter = Limiter()
        self._writer = LineWriter(
            descriptor, lambda count: self._line("log.lost", "warning", FACTS["log.lost"][1], {"lines": count})
        )

    @property
    def lost(self) -> int:
        """How many lines were lost because nobody read them, or the disk was full."""
        return self._writer.lost

    def flush(self, seconds: float = 1.0) -> None:
        """Waits until all is written, at most so long."""
        self._writer.flush(seconds)

    def listener(self, fact: str) -> Callable[[dict[str, Any]], None] | None:
        """None for a fact that is never written; `action.log` says its own level."""
        default, words = FACTS.get(fact, ("info", fact))
        if fact in ("action.log", "plugin.log"):
            return lambda fields: self.observe(fact, **fields)
        if LEVELS[default] < self._least:
            return None
        return lambda fields: self._write(fact, default, words, fields)

    def observe(self, fact: str, **fields: Any) -> None:
        default, words = FACTS.get(fact, ("info", fact))
        level = str(fields.pop("level", default))
        if LEVELS.get(level, 20) < self._least:
            return
        self._write(fact, level, words, fields)

    def _write(self, fact: str, level: str, words: str, given: dict[str, Any]) -> None:
        fields = {name: value for name, value in given.items() if name[0] != "_"}
        message = str(fields.pop("message", words))
        if (fact in BURST or LEVELS.get(level, 20) >= LEVELS["warning"]) and not self._admit(fact, message, fields):
            return
        self._writer.write(self._line(fact, level, message, fields))

    def _admit(self, fact: str, message: str, fields: dict[str, Any]) -> bool:
        now = time.monotonic()
        for held, count in self._limiter.over(now):
            told = {"of": held[0], "lines": count} if isinstance(held, tuple) else {"lines": count}
            self._writer.write(self._line("log.held", "warning", FACTS["log.held"][1], told))
        if fact in BURST:
            field, limit = BURST[fact]
            return self._limiter.admit((fact, str(fields.get(field))), limit, now)
        return self._limiter.admit((fact, message, repr(sorted(fields.items()))), REPEATS, now)

    def _line(self, fact: str, level: str, message: str, fields: dict[str, Any]) -> str:
        if len(message) > MAX_MESSAGE:  # masked first: nobody finds a secret of which a half is left
            message = (self._mask(message) if self._mask is not None else message)[:MAX_MESSAGE]
        if self._json:
            whole, part = divmod(int(time.time() * 1000), 1000)
            stamp = f"{_to_the_second(whole)}.{part:03}Z"
            line = _json({"time": stamp, "level": level, "fact": fact, "message": message, **fields})
        else:
            extra = " ".join(f"{key}={_plain(value)}" for key, value in fields.items() if value is not None)
            line = f"{time.strftime('%H:%M:%S')} {level:<7} {message} {extra}".rstrip()
        return self._mask(line) if self._mask is not None else line


_ENCODER = msgspec.json.Encoder(enc_hook=str)


@functools.lru_cache(2)
def _to_the_second(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _json(value: Any) -> str:
    """What cannot be UTF-8 is escaped: a line is never lost over one datum."""
    try:
        return _ENCODER.encode(value).decode()
    except UnicodeEncodeError:
        return msgspec.json.encode(clean(value), enc_hook=lambda other: shown(str(other))).decode()


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else _json(value)
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
