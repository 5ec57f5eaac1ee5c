"""Structured logs: lines for people on a terminal, JSON otherwise."""

from __future__ import annotations

import datetime
import functools
import os
import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET

from reactor.contracts.facts import (
    EventAccepted,
    EventRefused,
    Fact,
    LogHeld,
    LogLost,
    ObserverFailed,
    PluginLog,
    QueuePushed,
    RunEnded,
    RunStarted,
    StepEnded,
)  # fmt: skip
from reactor.contracts.observe import Listener, Listening
from reactor.contracts.text import clean, shown
from reactor.observe.limits import Limiter
from reactor.observe.writer import LineWriter

MAX_MESSAGE = 8 * 1024
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
BURST = 200
"""Lines of one plugin's log in a window: they differ, so they are counted together."""
FREQUENT = frozenset({EventAccepted, EventRefused, QueuePushed, RunStarted, RunEnded, StepEnded})
"""Facts that come with each event."""
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
        self._writer = LineWriter(descriptor, lambda count: self._line(LogLost(lines=count)))

    @property
    def lost(self) -> int:
        """How many lines were lost because nobody read them, or the disk was full."""
        return self._writer.lost

    def flush(self, seconds: float = 1.0) -> None:
        """Waits until all is written, at most so long."""
        self._writer.flush(seconds)

    def listener(self, kind: type[Fact]) -> Listener | None:
        """None for a kind that is never written; one with a field `level` says it each time."""
        if "level" not in kind.__struct_fields__ and LEVELS[kind.LEVEL] < self._least:
            return None
        return self.observe

    def observe(self, fact: Fact) -> None:
        fields = fact.shown()
        level = str(fields.pop("level", fact.LEVEL))
        least = LEVELS.get(level, 20)
        if least < self._least:
            return
        message = str(fields.pop("message", fact.WORDS))
        if (least >= LEVELS["warning"] or isinstance(fact, PluginLog)) and not self._admit(fact, message, fields):
            return
        self._writer.write(self._text(fact.NAME, level, message, fields), type(fact) not in FREQUENT)

    def _admit(self, fact: Fact, message: str, fields: dict[str, Any]) -> bool:
        now = time.monotonic()
        for held, count in self._limiter.over(now):
            of = held[0] if isinstance(held, tuple) else UNSET
            self._writer.write(self._line(LogHeld(of=of, lines=count)))
        if isinstance(fact, PluginLog):
            return self._limiter.admit((fact.NAME, fact.plugin), BURST, now)
        return self._limiter.admit((fact.NAME, message, repr(sorted(fields.items()))), REPEATS, now)

    def _line(self, fact: Fact) -> str:
        return self._text(fact.NAME, fact.LEVEL, fact.WORDS, fact.shown())

    def _text(self, fact: str, level: str, message: str, fields: dict[str, Any]) -> str:
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


class Observers:
    """All observers as one; one that fails is unplugged."""

    def __init__(self, *observers: Listening) -> None:
        self._observers = list(observers)
        self._heard: dict[type[Fact], list[tuple[Listening, Listener]]] = {}

    def add(self, observer: Listening) -> None:
        self._observers.append(observer)
        self._heard.clear()

    def observe(self, fact: Fact) -> None:
        heard = self._heard.get(type(fact))
        if heard is None:
            heard = self._heard[type(fact)] = self._listeners(type(fact))
        for observer, listener in heard:
            try:
                listener(fact)
            except Exception as error:
                self._observers.remove(observer)
                self._heard.clear()
                self.observe(ObserverFailed(error=repr(error)))

    def _listeners(self, kind: type[Fact]) -> list[tuple[Listening, Listener]]:
        asked = ((observer, observer.listener(kind)) for observer in self._observers)
        return [(observer, listener) for observer, listener in asked if listener is not None]
