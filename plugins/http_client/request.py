"""What goes out with an HTTP request: URL, headers and body, made of a step's options."""

from __future__ import annotations

import base64
import re
import urllib.parse
from typing import Any

import msgspec
import yarl

from plugins.http_client.guard import parsed, refused, shortened, split
from plugins.http_client.settings import AGENT, Auth, Settings, Tls
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed
from reactor.contracts.text import is_text

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A header's name (RFC 9110, section 5.6.2)."""
MAX_DEPTH = 20
CHUNKED = "Transfer-Encoding"


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
    """Added to the URL: a list repeats its name, an object is `name[field]`, null is left out."""
    json: Any = msgspec.UNSET
    """The body, as JSON,"""
    form: dict[str, Any] | None = None
    """or as a form, by the rules of `query`,"""
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


def wrong(message: str) -> StepFailed:
    return StepFailed("expression", message, retryable=False)


def pairs(fields: dict[str, Any]) -> list[tuple[str, str]]:
    """Fields of a query or a form: a list repeats its name, an object puts the names of its fields in brackets, null
    is left out. In a list of objects or lists each place is in brackets: what belongs together stays so."""
    found: list[tuple[str, str]] = []
    for name, value in fields.items():
        _pairs(str(name), value, found, 0)
    for name, text in found:
        if not is_text(name + text):
            raise wrong(f"the field {name[:100]!a} holds text that cannot be UTF-8")
    return found


def _pairs(name: str, value: Any, found: list[tuple[str, str]], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise wrong(f"the field {name[:100]!r} is nested more than {MAX_DEPTH} levels deep")
    if value is None:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            _pairs(f"{name}[{key}]", inner, found, depth + 1)
    elif isinstance(value, list):
        deep = any(isinstance(one, (dict, list)) for one in value)
        for place, one in enumerate(value):
            _pairs(f"{name}[{place}]" if deep else name, one, found, depth + 1)
    else:
        found.append((name, _text(value)))


def _text(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def with_query(url: str, query: dict[str, Any]) -> str:
    """The URL with `query` added."""
    if query:
        extra = urllib.parse.urlencode(pairs(query))
        base, hash_, fragment = url.partition("#")
        if extra:
            url = base + ("&" if "?" in base else "?") + extra + hash_ + fragment
    return url


def body_of(options: RequestOptions) -> bytes | None:
    given = [options.json is not msgspec.UNSET, options.form is not None, options.body is not None]
    if sum(given) > 1:
        raise wrong("give one of json, form and body")
    try:
        if options.json is not msgspec.UNSET:
            return msgspec.json.encode(options.json)
        if options.form is not None:
            return urllib.parse.urlencode(pairs(options.form)).encode()
        return options.body.encode() if options.body is not None else None
    except (ValueError, OverflowError):
        raise wrong("the body holds text that cannot be UTF-8, or a number that JSON does not have") from None


def request_headers(method: str, options: RequestOptions, context: ActionContext, body: bytes | None) -> dict[str, str]:
    headers: dict[str, str] = {"User-Agent": AGENT, "Accept": "*/*"}
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
    headers |= {name: _value(name, value) for name, value in options.headers.items()}
    return _framed(headers, len(body or b""))


def _value(name: str, value: Any) -> str:
    if not TOKEN.fullmatch(name):
        raise wrong(f"{name[:100]!a} is not a valid header name: use letters, digits and any of !#$%&'*+-.^_`|~")
    text = _text(value).strip(" \t")
    if any((c < " " and c != "\t") or c == "\x7f" for c in text):
        raise wrong(f"the value of the header {name} has a line break or another control character")
    if not is_text(text):
        raise wrong(f"the value of the header {name} holds text that cannot be UTF-8")
    return text


def _framed(headers: dict[str, str], size: int) -> dict[str, str]:
    """Where a request ends is for the client to say: a receiver that is told two lengths may take one request for two
    (RFC 9112, section 6.3)."""
    lengths = [value for name, value in headers.items() if name.lower() == "content-length"]
    codings = [value for name, value in headers.items() if name.lower() == "transfer-encoding"]
    if codings and lengths:
        raise wrong("Content-Length and Transfer-Encoding exclude each other; leave both out")
    if any(value != str(size) for value in lengths):
        raise wrong(f"the header Content-Length does not fit the body of {size:,} bytes; leave it out")
    if any(value.lower() != "chunked" for value in codings):
        raise wrong("the header Transfer-Encoding can only be chunked; leave it out")
    own = {name: value for name, value in headers.items() if name.lower() not in ("content-length", CHUNKED.lower())}
    return {**own, CHUNKED: "chunked"} if codings else own


def request_auth(auth: Auth | None) -> dict[str, str]:
    """The Authorization header, or nothing."""
    if auth is None or (auth.bearer is None and auth.user is None):
        return {}
    if auth.bearer is not None:
        return {"Authorization": _value("Authorization", f"Bearer {auth.bearer}")}
    if not is_text(f"{auth.user}{auth.password or ''}"):
        raise wrong("user and password hold text that cannot be UTF-8")
    pair = f"{auth.user}:{auth.password or ''}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def joined(base: str, url: str) -> str:
    """A connection's URL and what follows it. The base's own query is kept, in front of the request's."""
    front, question, own = base.partition("?")
    if "://" in url:
        whole = url
    elif url[:1] in ("", "?", "#"):
        whole = front + url
    else:
        whole = f"{front.rstrip('/')}/{url.lstrip('/')}"
    if not question or not own:
        return whole
    rest, hash_, fragment = whole.partition("#")
    path, _, query = rest.partition("?")
    named = {name for name, _ in urllib.parse.parse_qsl(query, keep_blank_values=True)}
    kept = [pair for pair in own.split("&") if urllib.parse.unquote_plus(pair.partition("=")[0]) not in named]
    return f"{path}?{'&'.join([*kept, *([query] if query else [])])}{hash_}{fragment}"


def through(options: RequestOptions, api: Settings) -> RequestOptions:
    """The request with what its connection adds. Raises StepFailed for a URL that leaves the connection's host:
    its credentials go nowhere else."""
    url = joined(api.url, options.url)
    given: yarl.URL = parsed(url)
    if split(url) != split(api.url) or (given.user is not None and given.user != parsed(api.url).user):
        raise refused(f"{shortened(options.url)} leaves {shortened(api.url)}, which is all that the connection is for")
    names = {name.lower() for name in options.headers}
    own = {name: value for name, value in api.headers.items() if name.lower() not in names}
    return msgspec.structs.replace(
        options,
        url=url,
        headers={**own, **options.headers},
        auth=options.auth or api.auth,
        tls=options.tls or api.tls,
    )
