"""Watching the daemon: metrics by Prometheus's own parser, the stream and its resumption, traces at a collector."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import queue
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from tests.daemon import Daemon, eventually

FLOWS = {
    "order": "flow: order\nwhen: [{http: POST /order}]\nonly_if: event.body.n > 0\ndo: [{set: {a: 1}}]\n",
    "acts": "flow: acts\nwhen: [{http: POST /acts}]\ndo:\n  - {id: one, call: uuid}\n  - {emit: acted, data: 1}\n",
    "fails": "flow: fails\nwhen: [{http: POST /fails}]\ndo: [{call: file.read, with: {path: nothing}}]\n",
    "queued": "flow: queued\nwhen: [{event: acted}]\ndo: [{queue: jobs}]\n",
}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    one = Daemon(tmp_path)
    for name, text in FLOWS.items():
        one.flow(f"{name}.yaml", text)
    with one:
        yield one


class Stream:
    """A client of the stream in a thread."""

    def __init__(self, daemon: Daemon, query: str = "", last: str | None = None) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
        self.connection.request("GET", f"/api/v1/stream{query}", headers={"Last-Event-ID": last} if last else {})
        sock = self.connection.sock
        assert isinstance(sock, socket.socket)
        self.socket = sock
        self.response = self.connection.getresponse()
        self.events: queue.Queue[tuple[str | None, str, Any]] = queue.Queue()
        self.bytes = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        id, event, data = None, "message", ""
        with contextlib.suppress(Exception):
            for raw in self.response:
                self.bytes += len(raw)
                name, _, value = raw.decode().rstrip("\n").partition(": ")
                if name == "id":
                    id = value
                elif name == "event":
                    event = value
                elif name == "data":
                    data = value
                elif not name and data:
                    self.events.put((id, event, json.loads(data)))
                    id, event, data = None, "message", ""

    def until(self, fact: str, seconds: float = 10.0, **fields: Any) -> tuple[str | None, str, Any]:
        end = time.monotonic() + seconds
        while True:
            found = self.events.get(timeout=max(end - time.monotonic(), 0.01))
            if found[1] == fact and all(found[2].get(k) == v for k, v in fields.items()):
                return found

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.connection.close()


def metrics(daemon: Daemon) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = daemon.request("GET", "/metrics")
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {}
    for family in text_string_to_metric_families(answer.raw.decode()):
        assert family.documentation or family.name.startswith("process"), family.name
        for sample in family.samples:
            found[(sample.name, tuple(sorted(sample.labels.items())))] = sample.value
    return found


def test_series_of_flows_and_queues_that_are_gone_are_dropped(daemon: Daemon) -> None:
    """A counter that keeps each name that ever was grows without end."""
    daemon.flow("short.yaml", "flow: short-lived\nwhen: [{http: POST /short}]\ndo: [{wait: 1s}, {queue: brief}]\n")
    daemon.flow("brief.yaml", "flow: brief\nwhen: [{queue: brief}]\ndo: []\n")
    eventually(lambda: daemon.post("/hooks/short?wait", {}).status == 200, 30, "the flow does not run")
    eventually(lambda: _named(daemon, "brief", "flow"), 30, "the queue's flow does not run")
    run = daemon.post("/hooks/short", {}).json["runs"][0]["id"]
    assert _named(daemon, "short-lived", "flow")
    for name in ("short", "brief"):
        (daemon.flows / f"{name}.yaml").unlink()
    eventually(lambda: not _named(daemon, "short-lived", "flow"), 30, "its series stay")
    daemon.wait_run(run)
    eventually(lambda: _named(daemon, "(removed)", "flow"), 30, "the last run does not count")
    assert not _named(daemon, "short-lived", "flow") and not _named(daemon, "brief", "flow")


def _named(daemon: Daemon, value: str, label: str) -> list[str]:
    return [name for name, labels in metrics(daemon) if dict(labels).get(label) == value]


def test_metrics_are_read_by_prometheus_own_parser(daemon: Daemon) -> None:
    for n in (1, 2, 0):
        daemon.post("/hooks/order", {"n": n})
    daemon.post("/hooks/acts?wait", {})
    daemon.post("/hooks/fails?wait", {})
    assert daemon.post("/api/v1/events?type=reactor.run.failed", {}).status == 403
    eventually(lambda: ("reactor_queue_waiting", (("queue", "jobs"),)) in metrics(daemon), 10, "no queue depth")
    eventually(lambda: metrics(daemon)[("reactor_loop_delay_seconds_count", ())] > 0, 10, "the loop is not looked at")
    found = metrics(daemon)

    def value(name: str, **labels: str) -> float:
        return found[(name, tuple(sorted(labels.items())))]

    assert value("reactor_events_total", kind="http") == 5
    assert value("reactor_verdicts_total", flow="order", verdict="started") == 2
    assert value("reactor_verdicts_total", flow="order", verdict="only_if") == 1
    assert value("reactor_runs_total", flow="order", status="succeeded") == 2
    assert value("reactor_runs_total", flow="fails", status="failed") == 1
    assert value("reactor_steps_total", action="uuid", status="succeeded") == 1
    assert value("reactor_steps_total", action="file.read", status="failed") == 1
    assert value("reactor_events_refused_total", status="403") == 1
    assert value("reactor_run_seconds_count", flow="order") == 2
    assert value("reactor_accept_seconds_bucket", kind="http", le="+Inf") == 5
    assert value("reactor_queue_waiting", queue="jobs") == 1
    assert value("reactor_store_commit_seconds_count") >= 5 and value("reactor_store_bytes") > 4096
    assert value("reactor_store_healthy") == 1
    assert value("reactor_loop_delay_seconds_count") >= 1
    assert value("process_resident_memory_bytes") > 1e6
    ups = [v for (name, labels), v in found.items() if name == "reactor_source_up"]
    assert len(ups) == 3 and set(ups) == {1.0}


def test_top_and_tail(daemon: Daemon) -> None:
    daemon.post("/hooks/order?wait", {"n": 1})
    done = daemon.cli("top", "--once")
    assert done.returncode == 0 and "order" in done.stdout and "succeeded 1" in done.stdout, done.stdout + done.stderr
    stats = json.loads(daemon.cli("top", "--json").stdout)
    assert stats["runs"] == {"succeeded": 1} and stats["ready"]
    import os
    import subprocess

    tail = subprocess.Popen(
        [*daemon.command, "runs", "tail", "--json"], env={**os.environ, "REACTOR_DATA": str(daemon.data)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert tail.stdout is not None
    try:
        eventually(lambda: metrics(daemon)[("reactor_stream_clients", ())] == 1, 10, "nobody follows")
        run = daemon.post("/hooks/order", {"n": 1}).json["runs"][0]["id"]
        line: dict[str, Any] = {}
        while line.get("run") != run:
            line = json.loads(tail.stdout.readline())
            assert line["fact"] == "run.ended" and line["flow"] == "order" and line["status"] == "succeeded"
        assert daemon.stop() == 0
        daemon.options = ("--listen", f"127.0.0.1:{daemon.port}")
        daemon.start()
        eventually(lambda: metrics(daemon)[("reactor_stream_clients", ())] == 1, 10, "it did not come back")
        daemon.post("/hooks/order", {"n": 1})
        facts = [json.loads(tail.stdout.readline())["fact"] for _ in range(2)]
        assert facts == ["restarted", "run.ended"]
    finally:
        tail.kill()
        tail.wait()
        tail.stdout.close()
    assert daemon.cli("runs", "tail", "--server", "127.0.0.1:1").returncode == 3


def test_the_stream_tells_and_goes_on_where_it_was(daemon: Daemon) -> None:
    first = Stream(daemon)
    run = daemon.post("/hooks/order", {"n": 1}).json["runs"][0]["id"]
    id, _, data = first.until("run.ended", run=run)
    assert data["status"] == "succeeded" and data["flow"] == "order" and "_event" not in data
    first.close()
    later = [daemon.post("/hooks/order", {"n": n}).json["runs"][0]["id"] for n in range(1, 4)]
    second = Stream(daemon, "?facts=run.ended&flow=order", last=id)
    assert [second.until("run.ended")[2]["run"] for _ in later] == later, "each once, in order, none missed"
    daemon.post("/hooks/acts", {})
    daemon.post("/hooks/order", {"n": 1})
    assert second.until("run.ended")[2]["flow"] == "order", "the filter holds"
    second.close()
    third = Stream(daemon, last="0000-1")
    assert third.response.status == 200
    third.until("run.ended", run=run)
    third.close()
    assert daemon.request("GET", "/api/v1/stream?facts=no.such").status == 400
    for last in ("x", "-", "é", f"{str(id).partition('-')[0]}-{'9' * 30}"):
        odd = Stream(daemon, last=last.encode("latin-1").decode("latin-1"))
        assert odd.response.status == 200
        odd.close()


def test_many_events_are_counts_and_a_stuck_client_costs_nothing(daemon: Daemon) -> None:
    with socket.create_connection(("127.0.0.1", daemon.port)) as stuck:
        _many(daemon, stuck)


def _many(daemon: Daemon, stuck: socket.socket) -> None:
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.sendall(b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    live = Stream(daemon)
    body = "\n".join(
        json.dumps({"specversion": "1.0", "id": str(n), "source": "t", "type": "many"}) for n in range(20_000)
    ).encode()
    for part in range(0, 20_000, 5000):
        chunk = b"\n".join(body.split(b"\n")[part : part + 5000])
        answer = daemon.request("POST", "/api/v1/events", raw=chunk, headers={"Content-Type": "application/x-ndjson"})
        assert answer.status == 202
    total = 0
    while total < 20_000:
        _, event, data = live.events.get(timeout=10)
        if event == "counts":
            total += sum(item["count"] for item in data["counts"] if item["fact"] == "event.accepted")
        elif event == "event.accepted":
            total += 1
    assert live.bytes < 1_000_000, f"{live.bytes:,} bytes for 20,000 events"
    assert daemon.post("/hooks/order?wait", {"n": 1}).status == 200
    live.close()


class Collector(http.server.ThreadingHTTPServer):
    """An OTLP receiver: protobuf over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    import gzip

                    raw = gzip.decompress(raw)
                if self.path == "/v1/traces":
                    for resource in ExportTraceServiceRequest.FromString(raw).resource_spans:
                        for scope in resource.scope_spans:
                            collector.spans.extend(scope.spans)
                else:
                    collector.spans.append(dict(self.headers))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return None

        super().__init__(("127.0.0.1", 0), Handler)


def test_traces_reach_a_collector_and_join_the_senders(tmp_path: Path) -> None:
    collector = Collector()
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    other = Collector()
    threading.Thread(target=other.serve_forever, daemon=True).start()
    daemon = Daemon(tmp_path, "--otlp", f"http://127.0.0.1:{collector.server_port}")
    daemon.flow(
        "traced.yaml",
        f"flow: traced\nwhen: [{{http: POST /traced}}]\ndo:\n  - {{id: out, call: http.post, with: {{url: 'http://127.0.0.1:{other.server_port}/'}}}}\n"
        "  - {call: file.read, with: {path: none}, on_error: []}\n  - {emit: second}\n",
    )
    daemon.flow("second.yaml", "flow: second\nwhen: [{event: second}]\ndo: []\n")
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    with daemon:
        daemon.post("/hooks/traced?wait", {}, headers={"traceparent": f"00-{trace}-{parent}-01"})
        daemon.post("/hooks/traced?wait", {}, headers={"traceparent": "garbage"})
        eventually(lambda: len(collector.spans) >= 12, 20, "the spans do not come")
    ours = [span for span in collector.spans if span.trace_id.hex() == trace]
    names = {span.name: span for span in ours}
    assert set(names) == {"event http.request", "run traced", "step out", "step do/1", "event second", "run second"}
    assert names["event http.request"].parent_span_id.hex() == parent
    assert names["run traced"].parent_span_id == names["event http.request"].span_id
    assert names["step out"].parent_span_id == names["run traced"].span_id
    assert names["run second"].parent_span_id == names["event second"].span_id
    assert names["step do/1"].status.code == 2 and names["step out"].status.code == 0
    assert names["step out"].start_time_unix_nano < names["step out"].end_time_unix_nano
    attributes = {a.key: a.value.string_value for a in names["step out"].attributes}
    assert attributes["reactor.action"] == "http.post" and attributes["reactor.run"].startswith("run_")
    sent = {name.lower(): value for name, value in other.spans[0].items()}
    assert sent["traceparent"] == f"00-{trace}-{names['step out'].span_id.hex()}-01"
    foreign = {span.trace_id.hex() for span in collector.spans} - {trace}
    assert len(foreign) == 1, "an event without a trace begins one"
    for server in (collector, other):
        server.shutdown()
        server.server_close()


def test_without_a_collector_nothing_waits(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "--otlp", "http://127.0.0.1:1")
    daemon.flow("a.yaml", FLOWS["order"])
    with daemon:
        assert daemon.post("/hooks/order?wait", {"n": 1}).status == 200
        begun = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - begun < 15
    done = daemon.cli("run", "--otlp", "ftp://x")
    assert done.returncode == 2 and "--otlp ftp://x" in done.stderr
