"""HTTP requests. Retry hints come from the other side: `Retry-After`, and which statuses are worth another try."""

from __future__ import annotations

import base64
import datetime
import email.utils
import ipaddress
import ssl
import urllib.parse
from pathlib import Path
from typing import Any, ClassVar

import anyio
import msgspec

from plugins.actions._guard import Resolver, is_literal, refused, split
from plugins.actions._paths import locate
from plugins.actions._place import Partial, Place, errors
from plugins.connections.http import Auth, Tls
from plugins.connections.http import Settings as Base
from reactor.contracts.action import ActionContext
from reactor.contracts.durations import DurationError, parse_duration
from reactor.contracts.errors import StepFailed
from reactor.contracts.names import named

MAX_BODY = 8 * 1024 * 1024
MAX_SAVED = 4 * 1024**3
MAX_REDIRECTS = 10
CHUNK = 256 * 1024


class RequestOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: str
    """Where to; http or https. With a `connection`, what follows its URL."""
    connection: str | None = None
    """A connection of the kind http, with base URL, headers and sign-in."""
    method: str = "GET"
    """The method (only `http.request`)."""
    headers: dict[str, Any] = {}
    """Request headers."""
    query: dict[str, Any] = {}
    """Added to the URL."""
    json: Any = msgspec.UNSET
    """The body, as JSON,"""
    form: dict[str, Any] | None = None
    """or as a form,"""
    body: str | None = None
    """or as text."""
    auth: Auth | None = None
    """`bearer`, or `user` and `password`."""
    timeout: str = "30s"
    """For the whole exchange; the step's own timeout holds too."""
    follow: int = 5
    """Redirects to follow; 0 returns the redirect itself."""
    save_to: str | None = None
    """A file to stream the answer into; `body` is then null."""
    expect: str | int | list[int | str] = "2xx"
    """Statuses that count as success: 200, 2xx, or a list."""
    tls: Tls | None = None
    """Certificates."""


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds from a Retry-After header (RFC 9110, section 10.2.3): a number or a date."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value.strip()) if len(value.strip()) < 9 else None
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return max(moment.timestamp() - now, 0.0)


def expected(status: int, expect: str | int | list[int | str]) -> bool:
    """Whether a status is one of those that count as success."""
    for one in expect if isinstance(expect, list) else [expect]:
        text = str(one).lower()
        if text == str(status) or (text.endswith("xx") and text[0] == str(status)[0]):
            return True
    return False


class Request:
    name = "http.request"
    summary = "Sends an HTTP request; a status that is not expected fails the step with type http.status."
    repeat = "keyed"
    needs: ClassVar[str | None] = None
    connection_kinds: ClassVar[tuple[str, ...]] = ("http",)
    Options = RequestOptions
    paths: ClassVar[tuple[str, ...]] = ("save_to",)
    result_fields = ("status", "headers", "body", "url", "path", "size")
    example = "call: http.get\nwith:\n  url: https://api.example/items\n  query: {page: 1}"
    method: ClassVar[str | None] = None

    async def run(self, options: RequestOptions, context: ActionContext) -> Any:
        if options.connection is None:
            return await self.exchange(options, context, is_literal(options.url, context.literals.get("url")))
        async with context.connection(options.connection) as api:
            return await self.exchange(through(options, api), context, True, frozenset(n.lower() for n in api.headers))

    async def exchange(
        self, options: RequestOptions, context: ActionContext, literal: bool, private: frozenset[str] = frozenset()
    ) -> Any:
        """One request. `literal`: the author wrote the host; `private`: headers that leave with the host."""
        import aiohttp

        method = (self.method or options.method).upper()
        if method not in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            raise StepFailed("expression", f"{method} is no HTTP method")
        split(options.url)
        hosts = frozenset({split(options.url)[1]}) if literal else frozenset()
        resolver = Resolver(hosts, networks(context.settings))
        try:
            timeout = aiohttp.ClientTimeout(total=parse_duration(options.timeout))
        except DurationError as error:
            raise StepFailed("expression", f"timeout: {error}") from None
        connector = aiohttp.TCPConnector(resolver=resolver, ssl=tls_context(options.tls, context.folder))  # type: ignore[arg-type]
        headers = request_headers(method, options, context)
        try:
            async with aiohttp.ClientSession(
                connector=connector,
                timeout=timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,
            ) as session:
                return await self._exchange(session, method, headers, options, context, resolver, private)
        except StepFailed:
            raise
        except TimeoutError:
            raise StepFailed("http.timeout", f"no complete answer within {options.timeout}") from None
        except aiohttp.ClientError as error:
            cause = error.__cause__
            if isinstance(cause, StepFailed):
                raise cause from None
            if isinstance(error, aiohttp.ClientConnectorCertificateError):
                raise StepFailed("http.tls", str(error), retryable=False) from None
            raise StepFailed("http.connect", f"{type(error).__name__}: {error}") from None

    async def _exchange(
        self,
        session: Any,
        method: str,
        headers: dict[str, str],
        options: RequestOptions,
        context: ActionContext,
        resolver: Resolver,
        private: frozenset[str],
    ) -> Any:
        url = with_query(options.url, options.query)
        data = body_of(options)
        for _ in range(min(options.follow, MAX_REDIRECTS) + 1):
            _judge_numeric(url, resolver)
            response = await session.request(method, url, headers=headers, data=data, allow_redirects=False)
            location = response.headers.get("Location")
            if response.status not in (301, 302, 303, 307, 308) or not location or not options.follow:
                break
            response.release()
            target = urllib.parse.urljoin(url, location)
            if split(target)[:2] != split(url)[:2]:
                leaves = private | {"authorization", "cookie"}
                headers = {k: v for k, v in headers.items() if k.lower() not in leaves}
            if response.status == 303 or (response.status in (301, 302) and method == "POST"):
                method, data = "GET", None
                headers = {k: v for k, v in headers.items() if k.lower() not in ("content-type", "content-length")}
            url = target
        else:
            raise StepFailed("http.redirects", f"more than {options.follow} redirects", retryable=False)
        async with response:
            return await self._result(response, options, context)

    async def _result(self, response: Any, options: RequestOptions, context: ActionContext) -> Any:
        result: dict[str, Any] = {
            "status": response.status,
            "headers": {name.lower(): value for name, value in response.headers.items()},
            "url": str(response.url),
        }
        if not expected(response.status, options.expect):
            text = (await _read(response, 64 * 1024, cut=True)).decode("utf-8", "replace")
            raise StepFailed(
                "http.status",
                f"{response.method} {response.url.with_query(None)} answered {response.status}",
                status=response.status,
                retry_after=retry_after(response.headers.get("Retry-After"), context.clock.now()),
                details={**result, "body": text[:4096]},
            )
        if options.save_to is not None:
            return {
                **result,
                "body": None,
                **await _save(response, locate(context, "save_to", options.save_to)),
            }
        return {
            **result,
            "body": decode(await _read(response, MAX_BODY), response.headers.get("Content-Type", "")),
        }


def networks(settings: Any) -> list[Any]:
    return [ipaddress.ip_network(text) for text in getattr(settings, "allow_networks", ())]


def _judge_numeric(url: str, resolver: Resolver) -> None:
    """A host that is an address already passes no resolver."""
    host = split(url)[1]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return
    reason = resolver.judge(str(address), host)
    if reason is not None:
        raise refused(f"{host}: {reason}; the operator may allow its network with --allow-network")


def with_query(url: str, query: dict[str, Any]) -> str:
    """The URL with `query` added; lists repeat their name, null is left out."""
    if query:
        pairs: list[tuple[str, str]] = []
        for name, value in query.items():
            pairs.extend(
                (name, _text(one)) for one in (value if isinstance(value, list) else [value]) if one is not None
            )
        extra = urllib.parse.urlencode(pairs)
        base, hash_, fragment = url.partition("#")
        url = base + ("&" if "?" in base else "?") + extra + hash_ + fragment
    return url


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def request_headers(method: str, options: RequestOptions, context: ActionContext) -> dict[str, str]:
    headers: dict[str, str] = {"User-Agent": "reactor", "Accept": "*/*"}
    if method in ("POST", "PATCH"):
        headers["Idempotency-Key"] = context.idempotency_key
    if context.traceparent is not None:
        headers["traceparent"] = context.traceparent
    headers |= request_auth(options.auth)
    if options.json is not msgspec.UNSET:
        headers["Content-Type"] = "application/json"
    elif options.form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    elif options.body is not None:
        headers["Content-Type"] = "text/plain; charset=utf-8"
    given = {name.lower() for name in options.headers}
    headers = {name: value for name, value in headers.items() if name.lower() not in given}
    for name, value in options.headers.items():
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        if any(c in "\r\n\0" for c in name + text) or not name.isascii():
            raise StepFailed("expression", f"the header {name!r} has a line break")
        headers[name] = text
    return headers


def request_auth(auth: Auth | None) -> dict[str, str]:
    """The Authorization header, or nothing."""
    if auth is None or (auth.bearer is None and auth.user is None):
        return {}
    if auth.bearer is not None:
        return {"Authorization": f"Bearer {auth.bearer}"}
    pair = f"{auth.user}:{auth.password or ''}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def through(options: RequestOptions, api: Base) -> RequestOptions:
    """The request with what its connection adds. Raises StepFailed for a URL that leaves the connection's host:
    its credentials go nowhere else."""
    url = options.url if "://" in options.url else f"{api.url.rstrip('/')}/{options.url.lstrip('/')}"
    if split(url) != split(api.url) or "@" in urllib.parse.urlsplit(url).netloc:
        raise refused(f"{options.url[:200]!r} leaves {api.url}, which is all that the connection is for")
    return msgspec.structs.replace(
        options,
        url=url,
        headers={**api.headers, **options.headers},
        auth=options.auth or api.auth,
        tls=options.tls or api.tls,
    )


def body_of(options: RequestOptions) -> bytes | None:
    given = [options.json is not msgspec.UNSET, options.form is not None, options.body is not None]
    if sum(given) > 1:
        raise StepFailed("expression", "give one of json, form and body")
    if options.json is not msgspec.UNSET:
        return msgspec.json.encode(options.json)
    if options.form is not None:
        return urllib.parse.urlencode(options.form, doseq=True).encode()
    return options.body.encode() if options.body is not None else None


def decode(raw: bytes, content_type: str) -> Any:
    """JSON by content type, else text, else base64."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return msgspec.json.decode(raw) if raw else None
        except (msgspec.DecodeError, RecursionError) as error:
            raise StepFailed(
                "http.content", f"the answer says it is JSON, and is not: {error}", retryable=False
            ) from None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode()


async def _read(response: Any, limit: int, cut: bool = False) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_chunked(CHUNK):
        size += len(part)
        parts.append(part)
        if size > limit:
            if cut:
                break
            raise StepFailed(
                "limit", f"the answer has more than {limit:,} bytes; stream it with save_to", retryable=False
            )
    return b"".join(parts)


async def _save(response: Any, place: Place) -> dict[str, Any]:
    """Streams into a file beside the target, renamed when it is whole."""
    size = 0
    with errors(place):
        partial = await anyio.to_thread.run_sync(Partial, place)
    try:
        async for part in response.content.iter_chunked(CHUNK):
            size += len(part)
            if size > MAX_SAVED:
                raise StepFailed("limit", f"the answer has more than {MAX_SAVED:,} bytes", retryable=False)
            with errors(place):
                await anyio.to_thread.run_sync(partial.file.write, part)
    except BaseException:
        partial.drop()
        raise
    with errors(place):
        await anyio.to_thread.run_sync(partial.put)
    return {**named("path", str(place.path)), "size": size}


def tls_context(options: Tls | None, base: str) -> ssl.SSLContext | bool:
    """The settings as aiohttp takes them; relative paths start at `base`. Raises StepFailed."""
    if options is None:
        return True
    folder = Path(base)
    try:
        made = ssl.create_default_context(cafile=str(folder / options.ca) if options.ca else None)
        if options.cert is not None:
            made.load_cert_chain(folder / options.cert, folder / options.key if options.key else None)
    except (OSError, ssl.SSLError) as error:
        raise StepFailed("http.tls", f"the certificates cannot be read: {error}", retryable=False) from None
    if not options.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


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
