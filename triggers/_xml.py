"""XML bodies to data: no document types, no entities, bounded in depth and number."""

from __future__ import annotations

import re
from typing import Any

from reactor.contracts.charset import NotText, decode_text
from reactor.contracts.xml import element_value, local_name
from triggers._body import BadBody

MAX_DEPTH = 100
MAX_ELEMENTS = 100_000
_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*\?>")
_ENCODING = re.compile(rb"<\?xml\b[^>]*\bencoding\s*=\s*[\"']([A-Za-z0-9._-]+)")


def _as_utf8(raw: bytes, charset: str | None) -> bytes:
    """The charset of the content type counts before that of the document (RFC 7303)."""
    own = _ENCODING.match(raw)
    charset = charset or (own[1].decode() if own else None)
    if charset is None:
        return raw
    try:
        text = decode_text(raw, charset)
    except NotText as error:
        raise BadBody(f"the body cannot be read as XML: {error}") from None
    return _DECLARATION.sub("", text, count=1).encode("utf-8", "surrogatepass")


def decode_xml(raw: bytes, charset: str | None = None) -> Any:
    """`{root: value}`. Raises BadBody."""
    import io

    import defusedxml
    import defusedxml.ElementTree

    raw = _as_utf8(raw, charset)
    depth = count = 0
    root = None
    try:
        for event, node in defusedxml.ElementTree.iterparse(io.BytesIO(raw), ("start", "end"), forbid_dtd=True):
            depth += 1 if event == "start" else -1
            count += 1
            root = root if root is not None else node
            if depth > MAX_DEPTH or count > 2 * MAX_ELEMENTS:
                raise BadBody(f"the XML has more than {MAX_DEPTH} levels or {MAX_ELEMENTS:,} elements")
    except (defusedxml.DefusedXmlException, defusedxml.ElementTree.ParseError, ValueError, LookupError) as error:
        raise BadBody(f"the body is not XML that is accepted: {error or type(error).__name__}") from None
    if root is None:
        raise BadBody("the body is not XML")
    return {local_name(root.tag): element_value(root)}
