"""`log`: a line in the daemon's log."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from reactor.contracts.action import ActionContext
from reactor.contracts.facts import ActionLog
from reactor.contracts.kinds import ActionKind


class LogOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    message: Any
    """What to say."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """How grave it is."""
    fields: dict[str, Any] = {}
    """Further values of the record."""


class Log(ActionKind[LogOptions]):
    name = "log"
    summary = "Writes a line to the daemon's log, with run, flow and step."
    repeat = "safe"
    Options = LogOptions
    result_fields = ("message",)
    example = 'call: log\nwith: {message: "order ${{ event.body.id }}"}'

    async def run(self, options: LogOptions, context: ActionContext) -> object:
        message = options.message if isinstance(options.message, str) else msgspec.json.encode(options.message).decode()
        names = {"level", "message", "run", "flow", "step"}
        extra = {key: value for key, value in options.fields.items() if key not in names}
        if context.log is not None:
            context.log.observe(
                ActionLog(
                    level=options.level,
                    message=message,
                    run=context.run,
                    flow=context.flow,
                    step=context.step,
                    fields=extra,
                )
            )
        return {"message": message}
