"""A collector of traces that accepts and never answers does not hold up the end of the daemon."""

from __future__ import annotations

import socket
import threading

from reactor.contracts.event import Event, StoredEvent
from reactor.contracts.facts import EventAccepted, Fact
from reactor.observe.trace import Tracer


class Nobody:
    def observe(self, fact: Fact) -> None:
        return


def test_the_end_does_not_wait_for_a_silent_collector() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tracer = Tracer(f"http://127.0.0.1:{silent.getsockname()[1]}", "0", Nobody())
        listener = tracer.listener(EventAccepted)
        assert listener is not None
        stored = StoredEvent(id="evt_" + "1" * 32, event=Event(type="a", source="/a"), at=1.0, origin="event")
        listener(EventAccepted(event=stored.id, type="a", origin="event", seconds=0.1, verdicts=[], stored=stored))
        tracer.close(0.2)
        sending = [thread for thread in threading.enumerate() if thread.name == "traces"]
        assert sending and sending[0].daemon, "it still sends, and nobody waits for it"
    sending[0].join(30)
