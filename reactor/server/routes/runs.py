"""Runs: lists, one run with its steps, cancel, resume, retry."""

from __future__ import annotations

import datetime

from reactor.contracts.run import RunRecord, Status
from reactor.contracts.signals import Cancel, Resume, Retry, signal_of
from reactor.contracts.store import RunFilter, Signal
from reactor.server import answers
from reactor.server.answers import Step
from reactor.server.paging import PAGING, paging, whole_id
from reactor.server.routing import Answer, Doc, Problem, Request, Route, answer_json
from reactor.server.services import Runs

REASON: dict[str, object] = {"type": ["object", "null"], "properties": {"reason": {"type": "string"}}}


def routes(runs: Runs) -> list[Route]:
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
        return answer_json(await runs.page(where, cursor, limit))

    async def show(request: Request) -> Answer:
        return answer_json(await runs.whole(await _run(runs, request)))

    async def steps(request: Request) -> Answer:
        found = await runs.steps(await _run(runs, request))
        under = request.query.get("under")
        if under is not None:
            found = _under(found, under)
        cursor, limit = paging(request)
        start = int(cursor or 0)
        more = str(start + limit) if start + limit < len(found) else None
        return answer_json(answers.StepPage(found[start : start + limit], more))

    async def cancel(request: Request) -> Answer:
        record = await _run(runs, request)
        body = request.json() or {}
        reason = str(body.get("reason", "")) if isinstance(body, dict) else ""
        signal = signal_of(record.id, Cancel(reason or "cancelled by a person"))
        return await _signalled(runs, record, signal, "has already ended")

    async def resume(request: Request) -> Answer:
        record = await _run(runs, request)
        return await _signalled(runs, record, signal_of(record.id, Resume()), "is not paused")

    async def retry(request: Request) -> Answer:
        record = await _run(runs, request)
        if record.status not in (Status.failed, Status.cancelled):
            raise Problem(
                409,
                "Not possible",
                f"{record.id} is {record.status.value}; a failed or cancelled run is retried",
            )
        reason = await runs.retryable(record)
        if reason is not None:
            raise Problem(409, "Not possible", reason)
        return await _signalled(runs, record, signal_of(record.id, Retry()), "cannot be retried")

    return [
        Route("GET", "/api/v1/runs", "admin", listing, Doc("The newest runs", answers.RunPage,
              query=(*PAGING, "flow", "status", "event", "since", "until"), errors=(400,))),
        Route("GET", "/api/v1/runs/{id}", "admin", show, Doc("One run with its steps", answers.Run, errors=(404,))),
        Route("GET", "/api/v1/runs/{id}/steps", "admin", steps, Doc("Steps of a run, or turns of a loop",
              answers.StepPage, query=(*PAGING, "under"), errors=(400, 404))),
        Route("POST", "/api/v1/runs/{id}/cancel", "admin", cancel, Doc("Ends a run; its `finally` still runs",
              answers.RunRef, 202, body={"application/json": REASON}, errors=(400, 404, 409))),
        Route("POST", "/api/v1/runs/{id}/resume", "admin", resume, Doc("Lets a paused run go on", answers.RunRef, 202,
              errors=(404, 409))),
        Route("POST", "/api/v1/runs/{id}/retry", "admin", retry, Doc("Goes on from the failed step", answers.RunRef,
              202, errors=(404, 409))),
    ]  # fmt: skip


async def _run(runs: Runs, request: Request) -> RunRecord:
    record = await runs.run(await whole_id(runs, "run_", request.params["id"]))
    if record is None:
        raise Problem(404, "Not found", f"there is no run {request.params['id']}")
    return record


async def _signalled(runs: Runs, record: RunRecord, signal: Signal, refused: str) -> Answer:
    if not await runs.signal(signal):
        raise Problem(409, "Not possible", f"{record.id} {refused} (it is {record.status.value})")
    return answer_json(answers.RunRef(record.id, record.flow, record.status), 202)


def _moment(request: Request, name: str) -> float | None:
    text = request.query.get(name)
    if text is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise Problem(400, f"Bad {name}", f"{name} is an RFC 3339 timestamp") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _under(steps: list[Step], path: str) -> list[Step]:
    for step in steps:
        if step.path == path:
            return step.children
        if path.startswith(step.path + "/"):
            inside = [child for child in step.children if child.path.startswith(path + "/")]
            if inside:
                return inside
            return _under(step.children, path)
    return []
