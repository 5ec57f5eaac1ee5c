"""Randomness of actions: the system's, or the run's own seed where a test asks for it."""

from __future__ import annotations

import random

from reactor.contracts.action import ActionContext


def source(context: ActionContext) -> random.Random:
    if context.settings.seeded:
        return random.Random(context.seed)
    return random.SystemRandom()
