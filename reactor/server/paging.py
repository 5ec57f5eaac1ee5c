"""Pages of lists, and ids that people shorten."""

from __future__ import annotations

import re

from reactor.server.routing import Problem, Request
from reactor.server.services import Ids

PAGING = ("limit", "cursor")
"""Query parameters of every list."""
HEXADECIMAL = re.compile("[0-9a-f]+")


def paging(request: Request) -> tuple[str | None, int]:
    """Cursor and limit of a list request. Raises Problem 400."""
    text = request.query.get("limit", "50")
    if not (text.isascii() and text.isdigit() and len(text) < 19 and 1 <= int(text) <= 1000):
        raise Problem(400, "Bad limit", "limit is a number from 1 to 1000")
    cursor = request.query.get("cursor")
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise Problem(400, "Bad cursor", "cursor is the `next` of the page before")
    return cursor, int(text)


async def whole_id(known: Ids, kind: str, text: str) -> str:
    """The id of a run (`run_`) or event (`evt_`) that may be shortened to its beginning, at least four digits. Raises
    Problem 404 for none, 409 for several."""
    word = "run" if kind == "run_" else "event"
    digits = text.removeprefix(kind)
    if 4 <= len(digits) < 32 and HEXADECIMAL.fullmatch(digits):
        found = await known.ids(kind + digits, 4)
        if len(found) == 1:
            return found[0]
        if found:
            some = ", ".join(found[:3]) + (" and more" if len(found) > 3 else "")
            raise Problem(409, "Ambiguous", f"several {word}s begin with {text}: {some}")
        raise Problem(404, "Not found", f"no {word} begins with {text}")
    return text if text.startswith(kind) else kind + digits
