"""The shapes of the API as JSON Schema (2020-12): closed, so that a field that is not here fails a test."""

from __future__ import annotations

from typing import Any

STATUSES = ["queued", "running", "waiting", "paused", "succeeded", "failed", "cancelled"]
VERDICTS = [
    "started", "no_match", "invalid", "only_if", "unless", "error", "duplicate", "merged", "busy", "throttled",
    "disabled", "depth",
]  # fmt: skip

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
MAYBE: Schema = {"type": ["string", "null"]}
NUMBER: Schema = {"type": "number"}
MAYBE_NUMBER: Schema = {"type": ["number", "null"]}
WHOLE: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
MAYBE_MOMENT: Schema = {"type": ["string", "null"], "format": "date-time"}
ANY: Schema = {}
MAP: Schema = {"type": "object"}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def many(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def closed(fields: Schema, optional: Schema | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**fields, **(optional or {})},
        "required": list(fields),
        "additionalProperties": False,
    }


def page(item: Schema) -> Schema:
    return closed({"items": many(item), "next": MAYBE})


ERROR = closed(
    {
        "type": TEXT, "message": TEXT, "status": {"type": ["integer", "null"]}, "step": MAYBE,
        "attempt": {"type": ["integer", "null"]}, "retryable": FLAG, "details": MAP,
    }
)  # fmt: skip
MAYBE_ERROR: Schema = {"oneOf": [{"type": "null"}, ref("Error")]}
RUN_ITEM: Schema = {
    "id": TEXT, "flow": TEXT, "version": TEXT, "status": {"enum": STATUSES}, "event": TEXT, "events": many(TEXT),
    "trigger": TEXT, "parent": MAYBE, "created": MOMENT, "started": MAYBE_MOMENT, "ended": MAYBE_MOMENT,
    "wake": MAYBE_MOMENT, "output": ANY, "error": MAYBE_ERROR,
}  # fmt: skip
EVENT_ITEM: Schema = {
    "id": TEXT, "type": TEXT, "source": TEXT, "accepted": MOMENT, "time": MOMENT, "key": MAYBE, "subject": MAYBE,
    "depth": WHOLE, "cause": MAYBE, "invalid": MAYBE,
    "runs": many(closed({"id": TEXT, "flow": TEXT, "verdict": {"enum": VERDICTS}})), "verdicts": many(ref("Verdict")),
}  # fmt: skip
FLOW_ITEM: Schema = {
    "name": MAYBE, "file": TEXT, "version": MAYBE, "enabled": FLAG,
    "state": {"enum": ["enabled", "disabled", "refused", "problems"]},
    "triggers": many(closed({"name": TEXT, "kind": TEXT, "source": TEXT})), "problems": many(TEXT),
}  # fmt: skip
RUN_REF = closed({"id": TEXT, "flow": TEXT})
OUTCOME = closed({"id": TEXT, "flow": TEXT, "status": {"enum": STATUSES}, "output": ANY, "error": MAYBE_ERROR})
SENT = closed({"event": TEXT, "runs": many(RUN_REF)}, {"detail": TEXT, "verdicts": many(ref("Verdict"))})
REFUSED = closed({"error": closed({"status": WHOLE, "title": TEXT, "detail": TEXT})})
SCHEMAS: dict[str, Schema] = {
    "Problem": {
        "type": "object",
        "properties": {"type": TEXT, "title": TEXT, "status": WHOLE, "detail": TEXT},
        "required": ["type", "title", "status"],
    },
    "Error": ERROR,
    "Health": closed({"status": {"enum": ["ok", "failing"]}, "store": MAYBE}),
    "Readiness": closed(
        {
            "status": {"enum": ["ready", "not ready"]}, "version": TEXT, "store": TEXT, "flows": WHOLE,
            "flow_problems": WHOLE, "refused": MAP, "active_runs": WHOLE, "unreadable": WHOLE, "sources": MAP,
            "connections": MAP,
        }
    ),
    "Configuration": closed({"directory": TEXT, "options": MAP}),
    "Stats": closed(
        {
            "version": TEXT, "ready": FLAG, "at": MOMENT, "events": NUMBER, "refused": NUMBER, "runs": MAP,
            "steps": NUMBER,
            "flows": many(closed({"flow": TEXT, "runs": MAP, "p50": MAYBE_NUMBER, "p99": MAYBE_NUMBER})),
            "accept_p99": MAYBE_NUMBER, "loop_delay_p99": MAYBE_NUMBER, "alive": MAP, "in_memory": WHOLE,
            "queues": many(closed({"name": TEXT, "waiting": WHOLE, "active": WHOLE})), "sources": MAP,
            "connections": MAP, "store": closed({"health": TEXT, "bytes": WHOLE, "commit_p99": MAYBE_NUMBER}),
        }
    ),
    "Verdict": closed(
        {
            "flow": TEXT, "verdict": {"enum": VERDICTS}, "clause": MAYBE, "line": {"type": ["integer", "null"]},
            "expression": MAYBE, "value": ANY, "names": MAP, "run": MAYBE, "message": MAYBE, "trigger": MAYBE,
        }
    ),
    "Event": closed({**EVENT_ITEM, "event": MAP}),
    "EventPage": page(closed(EVENT_ITEM)),
    "Why": closed({"event": TEXT, "flows": TEXT, "verdicts": many(ref("Verdict"))}),
    "Run": closed(
        {
            **RUN_ITEM, "response": {"type": ["object", "null"]}, "vars": MAP, "steps": many(ref("Step")),
            "problem": MAYBE,
        }
    ),
    "RunPage": page(closed(RUN_ITEM)),
    "RunRef": closed({"id": TEXT, "flow": TEXT, "status": {"enum": STATUSES}}),
    "Step": closed(
        {
            "path": TEXT, "id": MAYBE, "name": MAYBE, "verb": TEXT,
            "status": {"enum": [*STATUSES, "pending", "skipped"]}, "attempts": WHOLE, "started": MAYBE_MOMENT,
            "ended": MAYBE_MOMENT, "result": ANY, "error": MAYBE_ERROR, "children": many(ref("Step")),
        },
        {"turns": closed({"count": WHOLE, "shown": WHOLE})},
    ),
    "StepPage": page(ref("Step")),
    "Sent": SENT,
    "SentBatch": many({"oneOf": [SENT, REFUSED]}),
    "Waited": closed({"event": TEXT, "runs": many(OUTCOME)}),
    "CloudEvent": {
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"}, "id": {"type": "string", "minLength": 1},
            "source": {"type": "string", "minLength": 1}, "type": {"type": "string", "minLength": 1},
            "subject": TEXT, "time": MOMENT, "data": ANY,
        },
        "required": ["specversion", "id", "source", "type"],
    },
    "Flow": closed({**FLOW_ITEM, "description": TEXT, "labels": MAP, "source": TEXT}),
    "FlowPage": page(closed(FLOW_ITEM, {"description": TEXT, "labels": MAP})),
    "VersionPage": page(closed({"version": TEXT, "flow": TEXT, "file": TEXT, "loaded": MOMENT, "source": TEXT})),
    "TriggerPage": page(
        closed({"source": TEXT, "kind": TEXT, "state": TEXT, "error": MAYBE, "warning": MAYBE, "failures": WHOLE,
                "flows": many(TEXT), "options": MAP})
    ),
    "ConnectionPage": page(
        closed({"name": TEXT, "kind": TEXT, "state": TEXT, "error": MAYBE, "users": WHOLE, "file": MAYBE})
    ),
    "PluginPage": page(
        closed({"name": TEXT, "version": TEXT, "summary": TEXT, "protocol": TEXT, "state": TEXT, "error": MAYBE,
                "restarts": WHOLE, "calls": WHOLE, "folder": TEXT, "hash": TEXT, "actions": many(TEXT),
                "triggers": many(TEXT)})
    ),
    "ConnectionCheck": closed({"name": TEXT, "ok": FLAG, "error": MAYBE}),
    "QueuePage": page(closed({"name": TEXT, "waiting": WHOLE, "active": WHOLE, "oldest": MAYBE_MOMENT})),
    "Pushed": closed({"queue": TEXT, "message": TEXT}),
    "Action": closed(
        {
            "name": TEXT, "summary": TEXT, "repeat": {"enum": ["safe", "keyed", "never"]}, "needs": MAYBE,
            "result": many(TEXT), "example": TEXT,
            "options": many(
                closed({"name": TEXT, "type": TEXT, "required": FLAG, "default": ANY, "description": TEXT})
            ),
        }
    ),
    "ActionPage": page(ref("Action")),
    "Webhook": closed({"url": TEXT, "disabled": MAYBE_MOMENT}),
    "WebhookPage": page(ref("Webhook")),
}  # fmt: skip
