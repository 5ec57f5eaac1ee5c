"""`uuid`: an identifier."""

from __future__ import annotations

import uuid as _uuid
from typing import Literal

import msgspec

from plugins.actions._random import source
from reactor.contracts.action import ActionContext
from reactor.contracts.kinds import ActionKind


class UuidOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    version: Literal[4, 7] = 4
    """4: random; 7: ordered by time (RFC 9562)."""


class Uuid(ActionKind[UuidOptions]):
    name = "uuid"
    summary = "A new UUID; the result is the text itself."
    repeat = "safe"
    Options = UuidOptions
    example = "call: uuid"

    async def run(self, options: UuidOptions, context: ActionContext) -> object:
        bits = source(context).getrandbits(128)
        if options.version == 7:
            moment = int(context.clock.now() * 1000)
            value = moment << 80 | 0x7 << 76 | (bits >> 116) << 64 | 0b10 << 62 | (bits & ((1 << 62) - 1))
            return str(_uuid.UUID(int=value))
        return str(_uuid.UUID(int=bits, version=4))
