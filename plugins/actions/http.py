"""HTTP requests. Retry hints come from the other side: `Retry-After`, and which statuses are worth another try.

Once the other side has acted, nothing makes the step run again: what fails from then on is not retryable.
"""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import yarl

from plugins.actions._paths import locate
from plugins.actions._place import Place
from plugins.http_client.answer import (
    decode,
    expected,
    headers_of,
    location_of,
    read,
    read_some,
    retry_after,
    save,
    unreadable,
)  # fmt: skip
from plugins.http_client.guard import is_literal, parsed, refused, shortened, split
from plugins.http_client.request import (
    CHUNKED,
    METHODS,
    RequestOptions,
    body_of,
    request_auth,
    request_headers,
    through,
    with_query,
    wrong,
)  # fmt: skip
from plugins.http_client.session import Session, session
from plugins.http_client.settings import Auth
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed
from reactor.contracts.kinds import ActionKind
from reactor.kit.durations import DurationError, parse_duration

if TYPE_CHECKING:
    import aiohttp

MAX_REDIRECTS = 10
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""


class Request(ActionKind[RequestOptions]):
    name = "http.request"
    summary = "Sends an HTTP request; a status that is not expected fails the step with type http.status."
    repeat = "keyed"
    connection_kinds = ("http",)
    Options = RequestOptions
    path_options = ("save_to",)
    result_fields = ("status", "headers", "body", "url", "path", "size")
    example = "call: http.get\nwith:\n  url: https://api.example/items\n  query: {page: 1}"
    method: ClassVar[str | None] = None

    async def run(self, options: RequestOptions, context: ActionContext) -> object:
        if options.connection is None:
            return await self.exchange(options, context, is_literal(options.url, context.literals.get("url")))
        async with context.connection(options.connection) as api:
            return await self.exchange(through(options, api), context, True, frozenset(n.lower() for n in api.headers))

    async def exchange(
        self,
        options: RequestOptions,
        context: ActionContext,
        literal: bool,
        private: frozenset[str] = frozenset(),
        content: bool = True,
    ) -> dict[str, Any]:
        """One request. `literal`: the author wrote the host; `private`: headers that leave with the host; `content`:
        whether the body of a good answer is read."""
        method = (self.method or options.method).upper()
        if method not in METHODS:
            raise wrong(f"{method[:50]} is not one of the methods {', '.join(METHODS)}")
        url = parsed(with_query(options.url, options.query))
        if options.auth is None and url.user is not None:
            own = request_auth(Auth(user=url.user, password=url.password))
            options = _with_headers(options, own)
        exchange = _Exchange(options, context, method, url.with_user(None), private, content)
        hosts = frozenset({split(options.url)[1]}) if literal else frozenset()
        async with session(context, hosts, options.tls) as shared:
            return await exchange.run(shared)


def _with_headers(options: RequestOptions, more: dict[str, str]) -> RequestOptions:
    given = {name.lower() for name in options.headers}
    headers = {**{name: value for name, value in more.items() if name.lower() not in given}, **options.headers}
    return msgspec.structs.replace(options, headers=headers)


class _Exchange:
    """One request with its redirects."""

    def __init__(
        self, options: RequestOptions, context: ActionContext, method: str, url: yarl.URL, private: frozenset[str],
        content: bool,
    ) -> None:  # fmt: skip
        self._options = options
        self._context = context
        self._method = method
        self._safe = method in SAFE
        self._url = url
        self._private = private
        self._content = content
        self._body = body_of(options)
        self._headers = request_headers(method, options, context, self._body)
        self._place: Place | None = None
        if options.save_to is not None:
            self._place = locate(context, "save_to", options.save_to)
        try:
            self._seconds = parse_duration(options.timeout)
        except DurationError as error:
            raise wrong(f"timeout: {error}") from None
        self._acted = False
        """Whether the other side has done what was asked."""

    async def run(self, shared: Session) -> dict[str, Any]:
        import aiohttp
        from aiohttp.http_exceptions import HttpProcessingError

        try:
            return await self._run(shared, (aiohttp.ClientError, HttpProcessingError, TimeoutError))
        except StepFailed as error:
            failed = error
        except TimeoutError:
            failed = StepFailed("http.timeout", f"no complete answer within {self._options.timeout}")
        except aiohttp.InvalidURL as error:
            failed = refused(str(error))
        except aiohttp.ClientConnectorCertificateError as error:
            failed = StepFailed("http.tls", str(error), retryable=False)
        except (aiohttp.ClientResponseError, HttpProcessingError) as error:
            failed = unreadable(f"the answer is not valid HTTP: {error.message}")
        except aiohttp.ClientError as error:
            cause = error.__cause__
            known = isinstance(cause, StepFailed)
            failed = cause if known else StepFailed("http.connect", f"{type(error).__name__}: {error}")  # type: ignore[assignment]
        except UnicodeError as error:
            failed = refused(f"{self._url.raw_host}: not a valid host: {error}")
        if self._acted:
            failed.retryable = False
        raise failed from None

    async def _run(self, shared: Session, failures: tuple[type[Exception], ...]) -> dict[str, Any]:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=self._seconds)
        for _ in range(min(self._options.follow, MAX_REDIRECTS) + 1):
            shared.guard.check(self._url)
            chunked = self._headers.pop(CHUNKED, None) is not None and self._body is not None
            response = await shared.client.request(
                self._method, self._url, headers=self._headers, data=self._body, allow_redirects=False,
                timeout=timeout, chunked=chunked or None,
            )  # fmt: skip
            location = location_of(response)
            if response.status not in (301, 302, 303, 307, 308) or not location or not self._options.follow:
                break
            response.release()
            self._redirect(response.status, location)
        else:
            raise StepFailed("http.redirects", f"more than {self._options.follow} redirects", retryable=False)
        async with response:
            return await self._result(response, failures)

    def _redirect(self, status: int, location: str) -> None:
        try:
            target = parsed(urllib.parse.urljoin(str(self._url), location)).with_user(None)
        except ValueError as error:
            raise refused(f"the redirect leads to {shortened(location)}, which is not a valid URL: {error}") from None
        if split(str(target)) != split(str(self._url)):
            leaves = self._private | {"authorization", "cookie"}
            self._headers = {k: v for k, v in self._headers.items() if k.lower() not in leaves}
        if (status == 303 and self._method != "HEAD") or (status in (301, 302) and self._method == "POST"):
            self._acted = self._acted or not self._safe
            self._method, self._body = "GET", None
            drop = ("content-type", "content-length", "idempotency-key")
            self._headers = {k: v for k, v in self._headers.items() if k.lower() not in drop}
        self._url = target

    async def _result(self, response: aiohttp.ClientResponse, failures: tuple[type[Exception], ...]) -> dict[str, Any]:
        result: dict[str, Any] = {
            "status": response.status,
            "headers": headers_of(response),
            "url": str(response.url),
        }
        options = self._options
        if not expected(response.status, options.expect):
            text = self._context.mask((await read_some(response, failures)).decode("utf-8", "backslashreplace"))
            raise StepFailed(
                "http.status",
                f"{response.method} {response.url.with_query(None)} answered {response.status}",
                status=response.status,
                retry_after=retry_after(response.headers.get("Retry-After"), self._context.clock.now()),
                details={**result, "body": text[:4096]},
            )
        self._acted = self._acted or not self._safe
        if not self._content:
            return result
        try:
            if self._place is not None:
                return {**result, "body": None, **await save(response, self._place)}
            return {**result, "body": decode(await read(response), result["headers"].get("content-type", ""))}
        except failures as error:
            raise self._unread(error, result) from None

    def _unread(self, error: Exception, result: dict[str, Any]) -> StepFailed:
        """A body that did not come whole. What was only asked may be asked again; what was done is not done twice."""
        coded = any("content-encoding" in str(one).lower() for one in (error, error.__cause__) if one is not None)
        why = f"not within {self._options.timeout}" if isinstance(error, TimeoutError) else str(error)
        message = f"{result['status']} was answered, but its body cannot be read: {why}"
        if self._safe and not coded:
            return StepFailed("http.timeout" if isinstance(error, TimeoutError) else "http.connect", message)
        failed = unreadable(message)
        failed.status, failed.details = result["status"], result
        return failed


class Get(Request):
    name, method, repeat = "http.get", "GET", "safe"
    summary = "GET."


class Head(Request):
    name, method, repeat = "http.head", "HEAD", "safe"
    summary = "HEAD: status and headers only."


class Post(Request):
    name, method, repeat = "http.post", "POST", "keyed"
    summary = "POST, with an Idempotency-Key that stays the same over retries and crashes."


class Put(Request):
    name, method, repeat = "http.put", "PUT", "safe"
    summary = "PUT."


class Patch(Request):
    name, method, repeat = "http.patch", "PATCH", "keyed"
    summary = "PATCH, with an Idempotency-Key."


class Delete(Request):
    name, method, repeat = "http.delete", "DELETE", "safe"
    summary = "DELETE."
