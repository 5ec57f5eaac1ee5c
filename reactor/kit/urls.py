"""URLs with credentials: how they are shown, what in them is secret, and how a password with / or # is understood."""

from __future__ import annotations

import re
import urllib.parse
from typing import Any

MASK = "***"
WEB = frozenset({"http", "https", "ws", "wss"})
"""Schemes whose paths may hold an @ that ends no password."""
_URL = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]{0,30})://([^\s'\"<>`]+)")
_SECRET = re.compile(
    r"([?&;](?:[a-z0-9_.-]*(?:passw(?:or)?d|passwd|pwd|secret|token|api_?key|access_?key|signature|credential)[a-z0-9_.-]*"
    r"|pass|key|auth|sig)=)([^&#\s'\"<>;]*)",
    re.IGNORECASE,
)


def _userinfo(scheme: str, rest: str) -> int:
    """Where the user and password of a URL end, in what follows its `://`: the place of the @; -1 for none. An @ behind
    a / or # ends a password that should have been quoted."""
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    if scheme.lower().partition("+")[0] in WEB:
        return authority.rfind("@")
    if not authority:
        return -1
    if "@" in authority and _is_place(authority.rpartition("@")[2]):
        return authority.rfind("@")
    front = rest.partition("?")[0]
    return front.rfind("@") if "@" in front or _is_place(authority) else rest.rfind("@")


def _is_place(text: str) -> bool:
    """Whether it is hosts with ports, as in an authority."""
    return all(re.fullmatch(r"(\[[^\]]*\]|[^:\[\]@]+)(:[0-9]*)?", one) is not None for one in text.split(","))


def shown_url(url: str) -> str:
    """A URL, or a list of URLs, without user, password, and secret values of the query; any other text as it is."""
    if len(several := re.split(",(?=[a-z]+://)", url)) > 1:
        return ",".join(map(shown_url, several))
    scheme, found, rest = url.partition("://")
    if not found:
        return url
    end = _userinfo(scheme, rest)
    bare = f"{scheme}://{MASK}@{rest[end + 1 :]}" if end >= 0 else url
    return _SECRET.sub(rf"\1{MASK}", bare)


def without_credentials(text: str) -> str:
    """A longer text, such as a flow's source, in which each URL is shown without what is secret in it. A user alone, or
    an expression that looks a secret up, is not secret."""

    def hidden(match: re.Match[str]) -> str:
        scheme, rest = match.groups()
        end = _userinfo(scheme, rest)
        if end < 0 or ":" not in rest[:end] or "${{" in rest[:end]:
            return f"{scheme}://" + _SECRET.sub(rf"\1{MASK}", rest)
        return f"{scheme}://{MASK}@" + _SECRET.sub(rf"\1{MASK}", rest[end + 1 :])

    return _URL.sub(hidden, text) if "://" in text else text


def plain(value: Any) -> Any:
    """JSON data in which no URL has credentials."""
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def secrets_of(url: str) -> set[str]:
    """The password of a URL and the secret values of its query, as they stand there and as they are meant; of all
    URLs in a list."""
    secret: set[str] = set()
    for one in re.split(",(?=[a-z]+://)", url):
        scheme, found, rest = one.partition("://")
        user, colon, password = rest[: max(_userinfo(scheme, rest), 0)].partition(":") if found else ("", "", "")
        # a user alone is the token of NATS
        secret |= {password if colon else user if scheme in ("nats", "tls") else ""}
        secret |= {value for _, value in _SECRET.findall(rest)}
    return {one for value in secret if value for one in (value, urllib.parse.unquote(value))}


def quoted(url: str) -> str:
    """The URL with its password quoted, where a / ? or # in it would end the URL's authority; any other as it is."""
    scheme, found, rest = url.partition("://")
    if not found or scheme.lower().partition("+")[0] in WEB:
        return url
    end = _userinfo(scheme, rest)
    userinfo = rest[: max(end, 0)]
    if end < 0 or not re.search("[/?#@]", userinfo):
        return url
    user, colon, password = userinfo.partition(":")
    safe = "%" if re.search("%(?![0-9A-Fa-f]{2})", userinfo) is None else ""
    user, password = (urllib.parse.quote(one, safe=safe) for one in (user, password))
    return f"{scheme}://{user}{colon}{password}@{rest[end + 1 :]}"
