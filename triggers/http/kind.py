"""HTTP requests under /hooks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import anyio
import msgspec

from reactor.contracts.errors import Overloaded, Refused
from reactor.contracts.event import Event, Upload
from reactor.contracts.kinds import TriggerKind
from reactor.contracts.tracing import parse_traceparent
from reactor.contracts.trigger import HttpAnswer, HttpRequest, HttpRoute, Receipt, RunOutcome, TriggerContext
from reactor.contracts.verdicts import none_started, shown_verdict
from reactor.kit.charset import NotText
from reactor.kit.durations import DurationError, parse_duration, parse_size
from reactor.kit.paths import plain_path
from triggers.http.verify import Unverified, Verify, check, identity_in, verify_problems
from triggers.kit.bad_body import BadBody
from triggers.kit.body import decode_body

_PATH = re.compile(
    r"(/((?:[A-Za-z0-9._~!$&'()+,;=:@-]|[^\x00-\xa0\ud800-\udfff]|%[0-9A-Fa-f]{2})+|\{[a-z][a-z0-9_]*\}))+/?|/"
)
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+")
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """Where under /hooks; `{name}` takes one part of the path into event.params."""
    method: Method = "POST"
    """The method; any other gets 405 with Allow."""
    verify: Verify | None = None
    """The signature scheme and the name of its secret."""
    limit: str = "1MiB"
    """The largest body, also decompressed; more gets 413. Of a multipart body, its fields without the files."""
    upload_limit: str = "100MiB"
    """The largest multipart body, files included; 0 takes none."""
    cors: str | list[str] | None = None
    """Sites whose pages may send requests and read answers: `https://app.example`, a list, or `*`."""
    wait: str = "30s"
    """How long a request waits for the `respond` of its flow."""


def origins(options: Options) -> tuple[str, ...]:
    given = options.cors or ()
    return (given,) if isinstance(given, str) else tuple(given)


class Http(TriggerKind[Options]):
    name = "http"
    summary = "An HTTP request under /hooks starts the flow; it is answered 202 once the event is durable."
    example = "http: POST /orders"
    event_type = "http.request"
    event_fields = (
        "body", "headers", "headers_all", "query", "query_all", "params", "path", "method", "files",
    )  # fmt: skip
    shorthand_form = r"^\s*([A-Za-z]+\s+)?/"
    answers_sender = True

    @classmethod
    def shorthand(cls, text: str) -> dict[str, object]:
        method, _, path = text.strip().rpartition(" ")
        return {"method": method.strip().upper() or "POST", "path": path}

    @classmethod
    def problems(cls, options: Options) -> list[tuple[str, str]]:
        found = verify_problems(options.verify)
        if not _PATH.fullmatch(options.path):
            found.append(("path", f"{options.path!r} is no path such as /orders/{{region}}"))
        else:
            try:
                if re.search(r"[{}]", plain_path(re.sub(r"\{.*?\}", "", options.path))):
                    found.append(("path", "an escaped brace cannot stand in a path"))
            except NotText as error:
                found.append(("path", str(error)))
        names = re.findall(r"\{(.*?)\}", options.path)
        if len(names) != len(set(names)):
            found.append(("path", "a name stands twice in the path"))
        for origin in origins(options):
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                found.append(("cors", f"{origin!r} is no origin such as https://app.example (no path), and not *"))
        try:
            if not 0 <= parse_size(options.upload_limit) <= 16 * 1024**3:
                found.append(("upload_limit", "the limit is at most 16GiB"))
        except DurationError as error:
            found.append(("upload_limit", str(error)))
        try:
            if not 0 < parse_size(options.limit) <= 64 * 1024 * 1024:
                found.append(("limit", "the limit is at most 64MiB"))
        except DurationError as error:
            found.append(("limit", str(error)))
        try:
            if parse_duration(options.wait) > 300:
                found.append(("wait", "a request waits at most 5m"))
        except DurationError as error:
            found.append(("wait", str(error)))
        return found

    @classmethod
    def claim(cls, options: Options) -> str | None:
        shape = re.sub(r"\{.*?\}", "{}", plain_path(options.path.rstrip("/")))
        return f"{options.method} /hooks{shape}"

    @classmethod
    def secrets(cls, options: Options) -> list[tuple[str, str]]:
        return [("verify", name) for name in (options.verify.secret_names() if options.verify else [])]

    async def listen(self, ctx: TriggerContext) -> None:
        options = self.options
        route = HttpRoute(
            method=options.method,
            path=options.path.rstrip("/") or "/",
            limit=parse_size(options.limit),
            upload_limit=parse_size(options.upload_limit),
            origins=origins(options),
            handle=_Handler(ctx, options).handle,
        )
        ctx.http.add(route)
        try:
            await ctx.ready()
            await ctx.clock.sleep(float("inf"))
        finally:
            ctx.http.remove(route)


class _Handler:
    """Answers the requests of one route."""

    def __init__(self, ctx: TriggerContext, options: Options) -> None:
        self._ctx = ctx
        self._verify = options.verify
        self._scheme = options.verify.scheme() if options.verify is not None else None
        self._limit = parse_size(options.limit)
        self._wait = parse_duration(options.wait)

    async def handle(self, request: HttpRequest) -> HttpAnswer:
        delivery = None
        if self._verify is not None:
            try:
                delivery = check(self._verify, request.headers, request.raw, self._ctx.clock.now(), self._ctx.secret)
            except Unverified:
                answer = problem(401, "Unauthorized")
                answer.unverified = True
                return answer
        content_type = request.headers.get("content-type", "")
        if request.spool is not None:
            return await self._multipart(request, request.spool, content_type, delivery)
        try:
            data = decode_body(request.body, content_type)
        except BadBody as error:
            return problem(400, "Malformed body", str(error))
        return await self._accept(request, data, delivery)

    async def _multipart(
        self, request: HttpRequest, spool: Path, content_type: str, delivery: str | None
    ) -> HttpAnswer:
        """Files go to disk as they are parsed, in a thread; they stay only if the event is accepted."""
        from triggers.http.multipart import Form, boundary_of, discarding

        folder = self._ctx.payloads
        try:
            form = Form(boundary_of(content_type), folder.incoming, self._limit)
            await anyio.to_thread.run_sync(form.parse, spool)
        except BadBody as error:
            return problem(400, "Malformed body", str(error))
        except OSError as error:
            return problem(507, "No room", f"the files cannot be kept: {error.strerror}")
        for shown in form.shown:
            shown["path"] = str(folder.path(shown["sha256"]).absolute())
        with discarding(form):
            return await self._accept(request, form.fields, delivery, form.files, form.uploads)

    async def _accept(
        self,
        request: HttpRequest,
        data: object,
        delivery: str | None,
        files: dict[str, object] | None = None,
        uploads: Sequence[Upload] = (),
    ) -> HttpAnswer:
        key = delivery or (identity_in(self._scheme, data) if self._scheme else None)
        key = key or request.headers.get("idempotency-key") or None
        if key is not None and len(key) > 400:
            key = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
        trace = request.headers.get("traceparent")
        event = Event(
            type="http.request",
            source=f"/hooks{request.path}",
            data=data,
            alias="body",
            key=key,
            extensions={"traceparent": trace} if parse_traceparent(trace) is not None else {},
            fields={
                "headers": _shown(request.headers),
                "query": request.query,
                "params": request.params,
                "path": request.path,
                "method": request.method,
                **({"files": files} if files else {}),
                **({"headers_all": _shown_all(request.headers_all)} if request.headers_all else {}),
                **({"query_all": request.query_all} if request.query_all else {}),
            },
        )
        responds = self._ctx.responds()
        wait = request.wait if request.wait is not None else self._wait if responds else None
        try:
            receipt = await self._ctx.emit(event, wait=wait, uploads=uploads)
        except Refused as error:
            return problem(error.status, error.title, error.detail)
        except Overloaded as error:
            answer = problem(503, "Overloaded", str(error))
            answer.headers["Retry-After"] = str(max(1, round(error.retry_after)))
            return answer
        return answer_of(receipt, wait is not None)


HIDDEN_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})


def _shown(headers: dict[str, str]) -> dict[str, str]:
    """The headers as events keep them: credentials are not stored."""
    if HIDDEN_HEADERS.isdisjoint(headers):
        return headers
    return {name: "***" if name in HIDDEN_HEADERS else value for name, value in headers.items()}


def _shown_all(headers: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: ["***" for _ in given] if name in HIDDEN_HEADERS else given for name, given in headers.items()}


def problem(status: int, title: str, detail: str = "", **more: object) -> HttpAnswer:
    """An RFC 9457 problem."""
    body: dict[str, object] = {"type": "about:blank", "title": title, "status": status}
    if detail:
        body["detail"] = detail
    return HttpAnswer(
        status=status,
        headers={"Content-Type": "application/problem+json"},
        body=msgspec.json.encode(body | more),
    )


def answer_of(receipt: Receipt, waited: bool) -> HttpAnswer:
    """What a sender is told: 202 at once, or how its runs ended. Who waited, for the answer of a `respond` step too, is
    told the end when there was no answer."""
    runs = receipt.runs
    location = f"/api/v1/runs/{runs[0].id}" if len(runs) == 1 else f"/api/v1/events/{receipt.event}"
    headers = {"Content-Type": "application/json", "Location": location}
    outcomes = receipt.outcomes
    if outcomes is not None:
        answered = next((outcome for outcome in outcomes if outcome.response is not None), None)
        if answered is not None:
            return _response(answered)
        if waited and len(runs) == 1:
            return _single(outcomes[0], headers)
        if waited:
            shown = [
                {"id": o.run, "flow": o.flow, "status": o.status, "output": o.output, "error": o.error}
                for o in outcomes
            ]
            body = {"event": receipt.event, "runs": shown}
            return HttpAnswer(status=200, headers=headers, body=msgspec.json.encode(body))
    why = {}
    if waited and not runs:
        why = {"detail": none_started(receipt.verdicts), "verdicts": [shown_verdict(one) for one in receipt.verdicts]}
    return HttpAnswer(
        status=202, headers=headers, body=msgspec.json.encode({"event": receipt.event, "runs": runs, **why})
    )


def _single(outcome: RunOutcome, headers: dict[str, str]) -> HttpAnswer:
    if outcome.status == "succeeded":
        return HttpAnswer(status=200, headers=headers, body=msgspec.json.encode(outcome.output))
    message = (outcome.error or {}).get("message", f"the run {outcome.status}")
    answer = problem(500, f"The run {outcome.status}", message, run=outcome.run, flow=outcome.flow, error=outcome.error)
    answer.headers["Location"] = headers["Location"]
    return answer


def _response(outcome: RunOutcome) -> HttpAnswer:
    response = outcome.response
    assert response is not None
    kind, content = response["kind"], response["content"]
    headers = {"Location": f"/api/v1/runs/{outcome.run}", **response["headers"]}
    given = {name.lower() for name in response["headers"]}
    if kind == "json" or (kind == "body" and not isinstance(content, str)):
        body, type = msgspec.json.encode(content), "application/json"
    else:
        body, type = ("" if content is None else str(content)).encode(), "text/plain; charset=utf-8"
    if "content-type" not in given and kind != "none":
        headers["Content-Type"] = type
    return HttpAnswer(status=response["status"], headers=headers, body=body)
