"""What all answers are made of."""

from __future__ import annotations

from typing import Annotated

import msgspec

from reactor.contracts.errors import ErrorObject
from reactor.contracts.run import Status

STATUSES = [status.value for status in Status]


class Shape(msgspec.Struct):
    """An object of an answer. It has these fields and no others."""


Moment = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
"""A time in UTC (RFC 3339)."""
MaybeMoment = Annotated[str | None, msgspec.Meta(extra_json_schema={"format": "date-time"})]
RunStatus = Annotated[str, msgspec.Meta(extra_json_schema={"enum": STATUSES})]
StepStatus = Annotated[str, msgspec.Meta(extra_json_schema={"enum": [*STATUSES, "pending", "skipped"]})]


class Error(Shape):
    """Why a run or step failed: the object called `error` in expressions (`reactor.contracts.errors.error_object`)."""

    type: str
    message: str
    status: int | None
    step: str | None
    attempt: int | None
    retryable: bool
    details: dict[str, object]


MaybeError = Annotated[
    ErrorObject | None,
    msgspec.Meta(extra_json_schema={"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Error"}]}),
]
"""An `Error` as it was stored, or null."""
