"""XML bodies to data: no document types, no entities, bounded in depth and number."""

from __future__ import annotations

from typing import Any

from reactor.contracts.xml import element_value, local_name
from triggers._body import BadBody

MAX_DEPTH = 100
MAX_ELEMENTS = 100_000


def decode_xml(raw: bytes) -> Any:
    """`{root: value}`. Raises BadBody."""
    import io

    import defusedxml
    import defusedxml.ElementTree

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
        raise BadBody(f"the body is no XML that is taken: {error or type(error).__name__}") from None
    if root is None:
        raise BadBody("the body is no XML")
    return {local_name(root.tag): element_value(root)}
