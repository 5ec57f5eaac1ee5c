"""All verbs by their keys, in the order in which messages name them."""

from __future__ import annotations

from flows.verbs import Verb
from flows.verbs.call import Call
from flows.verbs.emit import Emit
from flows.verbs.fail import Fail
from flows.verbs.foreach import Foreach
from flows.verbs.if_ import If
from flows.verbs.parallel import Parallel
from flows.verbs.queue import Queue
from flows.verbs.respond import Respond
from flows.verbs.run import RunFlow
from flows.verbs.set import Set
from flows.verbs.stop import Stop
from flows.verbs.switch import Switch
from flows.verbs.try_ import Try
from flows.verbs.until import Until
from flows.verbs.wait import Wait
from flows.verbs.while_ import While

VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Call(), Set(), If(), Switch(), Parallel(), Foreach(), While(), Until(), Wait(), RunFlow(), Emit(), Queue(),
        Respond(), Try(), Stop(), Fail(),
    )
}  # fmt: skip
