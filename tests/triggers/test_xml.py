"""XML bodies as data, within bounds."""

from __future__ import annotations

import pytest

from reactor.kit.xml import MAX_ATTRIBUTES, MAX_DEPTH, MAX_ELEMENTS
from triggers.kit.bad_body import BadBody
from triggers.kit.xml import decode_xml


def test_the_convention() -> None:
    found = decode_xml(b'<o:a xmlns:o="u" o:x="1"> t <b>1</b><b/>after<!-- c --><c d="2">q</c><e> </e></o:a>')
    assert found == {"a": {"@x": "1", "b": ["1", None], "c": {"@d": "2", "#text": "q"}, "e": None, "#text": "t"}}
    assert decode_xml(b"<a/>") == {"a": None}


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ("<a>" * (MAX_DEPTH + 1), "100 deep"),
        ("<a>" + "<b/>" * MAX_ELEMENTS + "</a>", "more than 100,000 elements"),
        ("<a " + " ".join(f"x{n}=''" for n in range(MAX_ATTRIBUTES + 1)) + "/>", "more than 1,000 attributes"),
        ("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "DTDForbidden"),
        ("<a>", "no element found"),
        ("", "no element found"),
    ],
)
def test_bounds(held: str, said: str) -> None:
    with pytest.raises(BadBody, match=said):
        decode_xml(held.encode())


@pytest.mark.parametrize("depth", [1, MAX_DEPTH])
def test_what_is_within_them(depth: int) -> None:
    value = decode_xml(("<a>" * depth + "</a>" * depth).encode())
    for _ in range(depth):
        value = value["a"]
    assert value is None
