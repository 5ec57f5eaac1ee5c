"""The types of the columns that a trigger reads, asked of the server as they come."""

from __future__ import annotations

from reactor.kit.pg_texts import TYPES_QUERY, Convert, Types, parse_array
from reactor.kit.sql import Session

__all__ = ["Convert", "Types", "learn", "parse_array"]


async def learn(session: Session, types: Types, oids: set[int]) -> None:
    """Afterwards `types` can convert all of these."""
    asked = types.missing(oids)
    while asked:
        asked = types.learn((await session.run(TYPES_QUERY, {"oids": asked})).rows, asked)
