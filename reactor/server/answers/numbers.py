"""Counters and latencies, for people. Latencies are in seconds."""

from __future__ import annotations

from reactor.server.answers.shape import Moment, Shape


class FlowStats(Shape):
    flow: str
    runs: dict[str, float]
    """Runs that ended, by status."""
    p50: float | None
    p99: float | None


class QueueStats(Shape):
    name: str
    waiting: int
    active: int


class StoreStats(Shape):
    health: str
    bytes: int
    commit_p99: float | None


class Stats(Shape):
    version: str
    ready: bool
    at: Moment
    events: float
    refused: float
    runs: dict[str, float]
    steps: float
    flows: list[FlowStats]
    accept_p99: float | None
    loop_delay_p99: float | None
    alive: dict[str, int]
    """Runs that have not ended, by status."""
    in_memory: int
    queues: list[QueueStats]
    sources: dict[str, str]
    connections: dict[str, str | None]
    store: StoreStats
