"""All verbs by their names, as in `reactor.contracts.plan.BODIES`."""

from __future__ import annotations

from reactor.engine.steps import Verb
from reactor.engine.steps.call import Call
from reactor.engine.steps.emit import Emit
from reactor.engine.steps.fail import Fail
from reactor.engine.steps.foreach import Foreach
from reactor.engine.steps.if_ import If
from reactor.engine.steps.parallel import Parallel
from reactor.engine.steps.queue import Queue
from reactor.engine.steps.respond import Respond
from reactor.engine.steps.run import RunFlow
from reactor.engine.steps.set import Set
from reactor.engine.steps.stop import Stop
from reactor.engine.steps.switch import Switch
from reactor.engine.steps.try_ import Try
from reactor.engine.steps.until import Until
from reactor.engine.steps.wait import Wait
from reactor.engine.steps.while_ import While

VERBS: dict[str, Verb] = {
    "call": Call(),
    "set": Set(),
    "if": If(),
    "switch": Switch(),
    "parallel": Parallel(),
    "foreach": Foreach(),
    "while": While(),
    "until": Until(),
    "wait": Wait(),
    "run": RunFlow(),
    "emit": Emit(),
    "queue": Queue(),
    "respond": Respond(),
    "try": Try(),
    "stop": Stop(),
    "fail": Fail(),
}

INSTANT = frozenset(name for name, verb in VERBS.items() if verb.instant)
"""Verbs that end where they begin: without a policy they need no state of their own."""
