"""XML bodies to data: no document types, no entities, bounded in depth, number and size."""

from __future__ import annotations

from typing import Any

from reactor.contracts.xml import XmlLimit, XmlValues
from triggers._body import BadBody

CHUNK = 64 * 1024


def decode_xml(raw: bytes) -> Any:
    """`{root: value}`. Raises BadBody."""
    import defusedxml
    import defusedxml.ElementTree

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
