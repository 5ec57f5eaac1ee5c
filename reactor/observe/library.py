"""What libraries log, warn of or die of goes into the daemon's log, as one structured line each."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from reactor.contracts.facts import Level, LibraryLog
from reactor.contracts.observe import Observer


class _Handler(logging.Handler):
    def __init__(self, observer: Observer) -> None:
        super().__init__(logging.WARNING)
        self._observer = observer

    def emit(self, record: logging.LogRecord) -> None:
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        error = _reason(*record.exc_info[:2], record.exc_info[2]) if record.exc_info and record.exc_info[0] else None
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        self._observer.observe(LibraryLog(level=level, message=message, library=record.name, error=error))


def _reason(kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> str:
    """The exception in words, and the place that raised it."""
    text = f"{kind.__name__ if kind else 'error'}: {error}"
    frames = traceback.extract_tb(trace)
    return f"{text} ({frames[-1].filename}:{frames[-1].lineno})" if frames else text


@contextmanager
def told(observer: Observer) -> Iterator[None]:
    """While the block runs, Python's own logging, its warnings and exceptions of threads are facts `library.log`."""
    root = logging.getLogger()
    handler = _Handler(observer)
    before: tuple[Callable[..., Any], Callable[..., Any]] = (threading.excepthook, sys.unraisablehook)

    def of_thread(given: threading.ExceptHookArgs) -> None:
        name = given.thread.name if given.thread is not None else "thread"
        message = "a thread ended with an exception"
        error = _reason(given.exc_type, given.exc_value, given.exc_traceback)
        observer.observe(LibraryLog(level="error", message=message, library=name, error=error))

    def unraisable(given: sys.UnraisableHookArgs) -> None:
        error = _reason(given.exc_type, given.exc_value, given.exc_traceback)
        message = given.err_msg or "an exception was ignored"
        observer.observe(LibraryLog(level="warning", message=message, library="python", error=error))

    root.addHandler(handler)
    logging.captureWarnings(True)
    threading.excepthook, sys.unraisablehook = of_thread, unraisable
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = before
        logging.captureWarnings(False)
        root.removeHandler(handler)
