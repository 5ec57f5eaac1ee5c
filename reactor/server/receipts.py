"""What a sender is told about an event that was accepted."""

from __future__ import annotations

from reactor.contracts.trigger import Receipt
from reactor.contracts.verdicts import none_started, shown_verdict
from reactor.server import answers
from reactor.server.routing import Answer, answer_json


def sent(receipt: Receipt) -> answers.Sent:
    return answers.Sent(receipt.event, receipt.runs)


def answer_receipt(receipt: Receipt, waited: bool = False) -> Answer:
    """202 with the runs, or, when their end was waited for, 200 with how they ended. Who waits for a run and gets none
    is told why."""
    place = _location(receipt)
    if receipt.outcomes is None:
        found = sent(receipt)
        if waited and not receipt.runs:
            found.detail = none_started(receipt.verdicts)
            found.verdicts = [shown_verdict(verdict) for verdict in receipt.verdicts]
        return answer_json(found, 202, Location=place)
    runs = [answers.WaitedRun(o.run, o.flow, o.status, o.output, o.error) for o in receipt.outcomes]
    return answer_json(answers.Waited(receipt.event, runs), 200, Location=place)


def _location(receipt: Receipt) -> str:
    if len(receipt.runs) == 1:
        return f"/api/v1/runs/{receipt.runs[0].id}"
    return f"/api/v1/events/{receipt.event}"
