"""Lines of the log: what repeats is held back, and any text can be written."""

from __future__ import annotations

import json
import logging
import threading
import warnings
from pathlib import Path
from typing import Any

from reactor.contracts.facts import ActionLog, FlowRemoved, PluginLog, SourceCrashed
from reactor.observe.library import told
from reactor.observe.limits import WINDOW, Limiter
from reactor.observe.log import BURST, REPEATS, Log


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_what_repeats_is_held_back(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    with path.open("wb") as file:
        log = Log("info", "json", file.fileno())
        for _ in range(1000):
            log.observe(SourceCrashed(source="x", error="always the same"))
        for number in range(3):
            log.observe(SourceCrashed(source="x", error=f"another {number}"))
        for number in range(1000):
            log.observe(PluginLog(plugin="loud", message=f"line {number}"))
        for number in range(100):
            log.observe(FlowRemoved(flow=f"flow_{number}"))
        log.flush(5)
    lines = written(path)
    assert sum(line.get("error") == "always the same" for line in lines) == REPEATS
    assert sum(str(line.get("error")).startswith("another") for line in lines) == 3
    assert sum(line["fact"] == "plugin.log" for line in lines) == BURST
    assert sum(line["fact"] == "flow.removed" for line in lines) == 100


def test_a_window_that_is_over_tells_what_was_held_back() -> None:
    limiter = Limiter()
    assert [limiter.admit("a", 2, 0.0) for _ in range(5)] == [True, True, False, False, False]
    assert limiter.admit("b", 2, 0.0)
    assert limiter.over(WINDOW / 2) == []
    assert limiter.over(WINDOW) == [("a", 3)]
    assert limiter.admit("a", 2, WINDOW)
    assert limiter.over(WINDOW * 3) == []


def test_any_text_can_be_logged(tmp_path: Path) -> None:
    for format in ("json", "text"):
        path = tmp_path / format
        with path.open("wb") as file:
            log = Log("info", format, file.fileno())
            fields = {"value": {"\udcff": b"\xff"}}
            log.observe(ActionLog(level="info", message="a \ud83d lone surrogate", fields=fields))
            log.flush(5)
        assert "\\ud83d" in path.read_text("utf-8")


def test_what_libraries_say_is_one_line_each(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    with path.open("wb") as file:
        log = Log("info", "json", file.fileno())
        with told(log):
            try:
                raise KeyError("lost")
            except KeyError:
                logging.getLogger("some.library").exception("it failed %s", "badly")
            logging.getLogger("some.library").info("not of interest")
            thread = threading.Thread(target=lambda: [][1], name="helper")
            thread.start()
            thread.join()
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.warn("old", DeprecationWarning, stacklevel=1)
        log.flush(5)
    lines = written(path)
    assert [line["fact"] for line in lines] == ["library.log"] * 3
    assert lines[0]["message"] == "it failed badly" and lines[0]["library"] == "some.library"
    assert "KeyError: 'lost'" in lines[0]["error"] and lines[1]["library"] == "helper"
    assert "IndexError" in lines[1]["error"] and "old" in lines[2]["message"]
