"""Actions: the reference as data."""

from __future__ import annotations

import msgspec

from reactor.contracts.kinds import AnyAction
from reactor.contracts.registry import Registry
from reactor.kinds.reference import action_item, action_items
from reactor.server import answers


class ActionOperations:
    def __init__(self, actions: Registry[AnyAction]) -> None:
        self._actions = actions

    def items(self) -> list[answers.Action]:
        return msgspec.convert(action_items(self._actions), list[answers.Action])

    def action(self, name: str) -> answers.Action | None:
        found = action_item(self._actions, name)
        return None if found is None else msgspec.convert(found, answers.Action)
