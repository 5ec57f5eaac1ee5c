"""XML bodies to data: no document types, no entities, bounded in depth, number and size."""

from __future__ import annotations

import re
from typing import Any

from reactor.kit.charset import NotText, decode_text
from reactor.kit.xml import XmlLimit, XmlValues
from triggers.kit.bad_body import BadBody

CHUNK = 64 * 1024
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
    import defusedxml
    import defusedxml.ElementTree

    raw = _as_utf8(raw, charset)
    values = XmlValues()
    parser = defusedxml.ElementTree.DefusedXMLParser(target=values, forbid_dtd=True)
    try:
        for place in range(0, len(raw), CHUNK):
            parser.feed(raw[place : place + CHUNK])
        parser.close()
    except XmlLimit as error:
        raise BadBody(f"the XML is too large: {error}") from None
    except (defusedxml.DefusedXmlException, defusedxml.ElementTree.ParseError, ValueError, LookupError) as error:
        raise BadBody(f"the body is not XML that can be read: {error or type(error).__name__}") from None
    if values.root is None:
        raise BadBody("the body is not XML")
    return {values.root: values.values[0]}
