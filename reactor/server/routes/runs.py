"""Runs: lists, one run with its steps, cancel, resume, retry."""

from __future__ import annotations

import datetime
from typing import Any

from reactor.contracts.run import RunRecord, Status
from reactor.contracts.signals import Cancel, Resume, Retry, signal_of
from reactor.contracts.store import RunFilter, Signal
from reactor.server.routes import PAGING, paging, whole_id
from reactor.server.routing import Answer, Doc, Problem, Request, Route, answer_json
from reactor.server.services import Services
from reactor.server.views import run_item

SHOWN_TURNS = 100
REASON = {"type": ["object", "null"], "properties": {"reason": {"type": "string"}}}


def routes(services: Services) -> list[Route]:
    async def listing(request: Request) -> Answer:
        cursor, limit = paging(request)
        status = request.query.get("status")
        if status is not None and status not in Status.__members__:
            raise Problem(400, "Bad status", f"status is one of {', '.join(Status.__members__)}")
        where = RunFilter(
            flow=request.query.get("flow"),
            status=status,
            event=request.query.get("event"),
            since=_moment(request, "since"),
            until=_moment(request, "until"),
        )
        page = await services.store.runs(where, cursor, limit)
        return answer_json({"items": [run_item(record) for record in page.items], "next": page.next})

    async def show(request: Request) -> Answer:
        record = await _run(services, request)
        tree = await services.tree(record)
        steps = [node.view(SHOWN_TURNS) for node in tree["steps"]]
        item = {**run_item(record), "output": record.output, "response": record.response}
        return answer_json({**item, "vars": tree["vars"], "steps": steps, "problem": tree.get("problem")})

    async def steps(request: Request) -> Answer:
        record = await _run(services, request)
        tree = await services.tree(record)
        nodes = [node.view() for node in tree["steps"]]
        under = request.query.get("under")
        if under is not None:
            nodes = _under(nodes, under)
        cursor, limit = paging(request)
        start = int(cursor or 0)
        more = str(start + limit) if start + limit < len(nodes) else None
        return answer_json({"items": nodes[start : start + limit], "next": more})

    async def cancel(request: Request) -> Answer:
        record = await _run(services, request)
        body = request.json() or {}
        reason = str(body.get("reason", "")) if isinstance(body, dict) else ""
        signal = signal_of(record.id, Cancel(reason or "cancelled by a person"))
        return await _signalled(services, record, signal, "has already ended")

    async def resume(request: Request) -> Answer:
        record = await _run(services, request)
        return await _signalled(services, record, signal_of(record.id, Resume()), "is not paused")

    async def retry(request: Request) -> Answer:
        record = await _run(services, request)
        if record.status not in (Status.failed, Status.cancelled):
            raise Problem(
                409,
                "Not possible",
                f"{record.id} is {record.status.value}; a failed or cancelled run is retried",
            )
        reason = await services.retryable(record)
        if reason is not None:
            raise Problem(409, "Not possible", reason)
        return await _signalled(services, record, signal_of(record.id, Retry()), "cannot be retried")

    return [
        Route("GET", "/api/v1/runs", "admin", listing, Doc("The newest runs", "RunPage",
              query=(*PAGING, "flow", "status", "event", "since", "until"), errors=(400,))),
        Route("GET", "/api/v1/runs/{id}", "admin", show, Doc("One run with its steps", "Run", errors=(404,))),
        Route("GET", "/api/v1/runs/{id}/steps", "admin", steps, Doc("Steps of a run, or turns of a loop", "StepPage",
              query=(*PAGING, "under"), errors=(400, 404))),
        Route("POST", "/api/v1/runs/{id}/cancel", "admin", cancel, Doc("Ends a run; its `finally` still runs",
              "RunRef", 202, body={"application/json": REASON}, errors=(400, 404, 409))),
        Route("POST", "/api/v1/runs/{id}/resume", "admin", resume, Doc("Lets a paused run go on", "RunRef", 202,
              errors=(404, 409))),
        Route("POST", "/api/v1/runs/{id}/retry", "admin", retry, Doc("Goes on from the failed step", "RunRef", 202,
              errors=(404, 409))),
    ]  # fmt: skip


async def _run(services: Services, request: Request) -> RunRecord:
    record = await services.store.run(await whole_id(services, "run_", request.params["id"]))
    if record is None:
        raise Problem(404, "Not found", f"there is no run {request.params['id']}")
    return record


async def _signalled(services: Services, record: RunRecord, signal: Signal, refused: str) -> Answer:
    if not await services.store.signal(signal):
        raise Problem(409, "Not possible", f"{record.id} {refused} (it is {record.status.value})")
    return answer_json({"id": record.id, "flow": record.flow, "status": record.status.value}, 202)


def _moment(request: Request, name: str) -> float | None:
    text = request.query.get(name)
    if text is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise Problem(400, f"Bad {name}", f"{name} is an RFC 3339 timestamp") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _under(nodes: list[dict[str, Any]], path: str) -> list[dict[str, Any]]:
    for node in nodes:
        if node["path"] == path:
            children: list[dict[str, Any]] = node["children"]
            return children
        if path.startswith(node["path"] + "/"):
            inside = [child for child in node["children"] if child["path"].startswith(path + "/")]
            if inside:
                return inside
            return _under(node["children"], path)
    return []
