"""OpenTelemetry traces: a span for each event, run and attempt of an action, sent by OTLP over HTTP.

Ids are made of ours, so that a run that went on after a crash, or on another machine, is still one trace: a trace is
that of the event's `traceparent` (W3C Trace Context), else one of its own.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from reactor.contracts.event import StoredEvent
from reactor.contracts.facts import EventAccepted, Fact, RunEnded, StepEnded, TraceFailed
from reactor.contracts.observe import Listener, Observer
from reactor.contracts.tracing import parent_of, span_id, trace_id

CLOSE_WITHIN = 2.0
"""Seconds that the end of the daemon waits for the collector."""


class _Told(logging.Handler):
    """What the library has to say goes into our log."""

    def __init__(self, observer: Observer) -> None:
        super().__init__(logging.WARNING)
        self._observer = observer

    def emit(self, record: logging.LogRecord) -> None:
        self._observer.observe(TraceFailed(error=record.getMessage()[:500]))


class Tracer:
    """Listens to facts. `endpoint` is the collector's URL, such as http://127.0.0.1:4318."""

    def __init__(self, endpoint: str, version: str, observer: Observer) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.id_generator import IdGenerator

        class Given(IdGenerator):
            """Ids that were made before the span."""

            trace = span = 0

            def generate_trace_id(self) -> int:
                return self.trace

            def generate_span_id(self) -> int:
                return self.span

        own = logging.getLogger("opentelemetry")
        own.handlers, own.propagate = [_Told(observer)], False
        self._ids = Given()
        resource = Resource.create({"service.name": "reactor", "service.version": version})
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces", timeout=5)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
        self._tracer = self._provider.get_tracer("reactor", version)
        self._heard: dict[type[Fact], Listener] = {
            EventAccepted: self._event, RunEnded: self._run, StepEnded: self._step,
        }  # fmt: skip

    def listener(self, kind: type[Fact]) -> Listener | None:
        return self._heard.get(kind)

    def _event(self, fact: EventAccepted) -> None:
        event = fact.stored
        attributes = {"reactor.event": event.id, "reactor.type": event.event.type, "reactor.origin": event.origin}
        name, parent = f"event {event.event.type}", parent_of(event)
        self._span(event, name, event.id, parent, event.at, fact.seconds, attributes)

    def _run(self, fact: RunEnded) -> None:
        attributes = {"reactor.run": fact.run, "reactor.flow": fact.flow, "reactor.status": fact.status}
        name, parent, failed = f"run {fact.flow}", span_id(fact.stored.id), fact.status == "failed"
        self._span(fact.stored, name, fact.run, parent, fact.started, fact.seconds, attributes, failed)

    def _step(self, fact: StepEnded) -> None:
        attributes = {
            "reactor.run": fact.run, "reactor.step": fact.step, "reactor.path": fact.path,
            "reactor.action": fact.action, "reactor.attempt": fact.attempt,
        }  # fmt: skip
        key = f"{fact.run}/{fact.path}/{fact.attempt}"
        name, parent, failed = f"step {fact.step}", span_id(fact.run), fact.status != "succeeded"
        self._span(fact.stored, name, key, parent, fact.started, fact.seconds, attributes, failed)

    def _span(
        self, event: StoredEvent, name: str, key: str, parent: int | None, start: float, seconds: float,
        attributes: dict[str, Any], failed: bool = False,
    ) -> None:  # fmt: skip
        from opentelemetry import trace

        self._ids.trace, self._ids.span = trace_id(event), span_id(key)
        context = None
        if parent is not None:
            flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
            above = trace.SpanContext(self._ids.trace, parent, is_remote=True, trace_flags=flags)
            context = trace.set_span_in_context(trace.NonRecordingSpan(above))
        begun = int(start * 1e9)
        span = self._tracer.start_span(name, context=context, start_time=begun, attributes=attributes)
        if failed:
            span.set_status(trace.StatusCode.ERROR)
        span.end(begun + int(seconds * 1e9))

    def close(self, seconds: float = CLOSE_WITHIN) -> None:
        """Sends what waits; blocks at most so long, also when the collector accepts and never answers."""
        thread = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        thread.start()
        thread.join(seconds)
