"""`reactor doctor` looks at what the running daemon uses, and counts what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import apsw

from tests.daemon import Daemon

HELLO = "flow: hello\nwhen: [{http: POST /hello}]\ndo: []\noutput: 1\n"


def findings(daemon: Daemon, *options: str) -> dict[str, tuple[str, str]]:
    done = daemon.cli("doctor", "--json", *options)
    return {one["what"]: (one["level"], one["found"]) for one in json.loads(done.stdout)["findings"]}


def test_it_uses_the_configuration_of_the_running_daemon(tmp_path: Path) -> None:
    """The store is elsewhere, the flows are elsewhere, and the floor is another: no option says so to doctor."""
    store = tmp_path / "elsewhere"
    daemon = Daemon(tmp_path, "--store", f"sqlite:///{store}", "--disk-floor", "3MiB", "--secrets", "kept")
    daemon.flows = tmp_path / "other-flows"
    daemon.flows.mkdir()
    (tmp_path / "kept").mkdir()
    daemon.flow("hello.yaml", HELLO)
    with daemon:
        assert daemon.post("/hooks/hello?wait", {}).json == 1
        found = findings(daemon)
        assert found["configuration"][0] == "ok"
        assert str(store) in found["store"][1] and "1 succeeded" in found["store"][1]
        assert found["flows"] == ("ok", "1 flows, no errors")
        assert "3 MiB" in found["disk"][1] and found["secrets"] == ("ok", str(tmp_path / "kept"))
        assert found["rows"] == ("ok", "all can be read")
        told = daemon.get("/api/v1/configuration")
        assert told["options"]["disk_floor"] == {"value": "3MiB", "origin": "flag"}
        assert daemon.stop() == 0
    assert "configuration" not in findings(daemon, "--flows", str(daemon.flows))


def test_rows_that_cannot_be_read_are_counted_and_shown_in_their_place(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow("hello.yaml", HELLO)
    with daemon:
        runs = [daemon.post("/hooks/hello", {"n": number}).json["runs"][0]["id"] for number in range(5)]
        assert daemon.stop() == 0
        db = apsw.Connection(str(daemon.data / "reactor.db"))
        db.execute("UPDATE runs SET status = 'sleeping' WHERE id = ?", (runs[1],))
        db.execute("UPDATE runs SET flow = CAST(x'68ff' AS TEXT) WHERE id = ?", (runs[3],))
        db.execute("UPDATE events SET event = x'00ff' WHERE seq = 2")
        db.close()
        assert findings(daemon, "--flows", str(daemon.flows))["rows"][0] == "warning"
        daemon.start()
        items = daemon.get("/api/v1/runs")["items"]
        assert [item["id"] for item in items] == runs[::-1]
        assert [item["error"]["type"] if item["error"] else None for item in items] == [
            None,
            "corrupt",
            None,
            "corrupt",
            None,
        ]
        assert items[1]["flow"] == "h\\xff"
        events = daemon.get("/api/v1/events")["items"]
        assert len(events) == 5 and sum(event["invalid"] is not None for event in events) == 1
        assert daemon.get("/readyz")["unreadable"] == 3
        assert b"\nreactor_store_unreadable 3.0\n" in daemon.request("GET", "/metrics").raw
        level, text = findings(daemon)["rows"]
        assert level == "warning" and text.startswith("3 cannot be read (events, runs)")
        for run in (runs[1], runs[3]):
            assert daemon.get(f"/api/v1/runs/{run}")["error"]["type"] == "corrupt"
        assert daemon.post("/hooks/hello?wait", {}).json == 1
        assert daemon.stop() == 0
