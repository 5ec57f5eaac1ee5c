"""What the API answers, as structs: their fields in this order are the JSON, and `/openapi.json` is made from them.
A field that is UNSET is left out."""

from __future__ import annotations

from reactor.server.answers.events import (
    Event,
    EventItem,
    EventPage,
    Refusal,
    RefusedItem,
    Sent,
    Started,
    Waited,
    WaitedRun,
    Why,
)
from reactor.server.answers.flows import Flow, FlowItem, FlowPage, FlowTrigger, Version, VersionPage
from reactor.server.answers.health import Configuration, Health, OptionValue, Readiness
from reactor.server.answers.kinds import Action, ActionPage, Option
from reactor.server.answers.numbers import FlowStats, QueueStats, Stats, StoreStats
from reactor.server.answers.queues import Pushed, Queue, QueuePage, Webhook, WebhookPage
from reactor.server.answers.runs import Run, RunItem, RunPage, RunRef, Step, StepPage, Turns
from reactor.server.answers.shape import Error, Shape
from reactor.server.answers.sources import (
    Connection,
    ConnectionCheck,
    ConnectionPage,
    Plugin,
    PluginPage,
    Trigger,
    TriggerPage,
)

__all__ = [
    "Action", "ActionPage", "Configuration", "Connection", "ConnectionCheck", "ConnectionPage", "Error", "Event",
    "EventItem", "EventPage", "Flow", "FlowItem", "FlowPage", "FlowStats", "FlowTrigger", "Health", "Option",
    "OptionValue", "Plugin", "PluginPage", "Pushed", "Queue", "QueuePage", "QueueStats", "Readiness", "Refusal",
    "RefusedItem", "Run", "RunItem", "RunPage", "RunRef", "Sent", "Shape", "Started", "Stats", "Step",
    "StepPage", "StoreStats", "Trigger", "TriggerPage", "Turns", "Version", "VersionPage", "Waited",
    "WaitedRun", "Webhook", "WebhookPage", "Why",
]  # fmt: skip
