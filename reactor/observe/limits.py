"""How often a line may be repeated in the log."""

from __future__ import annotations

from collections.abc import Hashable

WINDOW = 10.0
"""Seconds over which lines are counted."""
MAX_KEYS = 1_000


class Limiter:
    """Counts lines by key. What comes beyond a key's limit within a window is held back and counted."""

    def __init__(self) -> None:
        self._windows: dict[Hashable, list[float]] = {}
        """key → [end of the window, lines let through, lines held back]"""

    def admit(self, key: Hashable, limit: int, now: float) -> bool:
        """Whether the line may be written. Ask `over` first: it ends the windows whose time has come."""
        window = self._windows.get(key)
        if window is None:
            if len(self._windows) >= MAX_KEYS:
                return True
            window = self._windows[key] = [now + WINDOW, 0, 0]
        if window[1] < limit:
            window[1] += 1
            return True
        window[2] += 1
        return False

    def over(self, now: float) -> list[tuple[Hashable, int]]:
        """Ends the windows that are over: (key, lines held back) of those that held any back."""
        ended = [key for key, window in self._windows.items() if window[0] <= now]
        held = []
        for key in ended:
            count = int(self._windows.pop(key)[2])
            if count:
                held.append((key, count))
        return held
