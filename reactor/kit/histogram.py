"""Histograms: counts by upper bound, as Prometheus has them."""

from __future__ import annotations

from bisect import bisect_left

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0)
"""Upper bounds in seconds, from a commit to a run of an hour."""


class Histogram:
    """Counts of values; `bounds` ascend, and what is above the last is counted too."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        return sum(self.counts)

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, cumulative count), `+Inf` last."""
        found, sum_ = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            sum_ += count
            found.append((bound, float(sum_)))
        return found

    def quantile(self, share: float) -> float | None:
        """The upper bound under which `share` of the values lie; None without values."""
        wanted, sum_ = share * self.count, 0
        if not self.count:
            return None
        for bound, count in zip((*self.bounds, self.bounds[-1]), self.counts, strict=True):
            sum_ += count
            if sum_ >= wanted:
                return bound
        return self.bounds[-1]
