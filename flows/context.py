"""What reading one flow needs, in parts: readers get the part that they need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from flows.beside import FilesBeside
from flows.computed import Computed
from flows.nodes import Node
from flows.report import Report
from flows.uses import Uses
from flows.value_schema import MakeValidator
from flows.visible import FlowNames, SecretExists, Visible
from reactor.contracts.kinds import AnyAction, AnyConnection, AnyTrigger
from reactor.contracts.plan import Step
from reactor.contracts.registry import OpenRegistry, Registry


@dataclass(frozen=True)
class Kinds:
    """What the daemon brings: action and trigger kinds by name, allowed words, secrets."""

    actions: OpenRegistry[AnyAction]
    triggers: OpenRegistry[AnyTrigger]
    connections: Registry[AnyConnection]
    allow: frozenset[str] = frozenset()
    secret_exists: SecretExists | None = None
    environment: frozenset[str] | None = None
    make_validator: MakeValidator | None = None
    file_root: str | None = None


class ReadStep(NamedTuple):
    """A step of a list, and the ids certain, and possible, to have run behind it. The step is None where
    it cannot be read."""

    step: Step | None
    certain: frozenset[str] = frozenset()
    possible: frozenset[str] = frozenset()
    ends: bool = False
    """No step behind it is reached."""


StepReader = Callable[["Reading", Node, Visible, int], ReadStep]
"""Reads one step of a list: the node, what is visible before it, its place in the list."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The parts of reading one flow."""

    kinds: Kinds
    report: Report
    names: FlowNames
    uses: Uses
    computed: Computed
    files: FilesBeside
    read_step: StepReader
    """Blocks of steps are read with it: the verbs hold blocks, and the steps of these hold verbs."""


def reading_of(file: str, files: FilesBeside, kinds: Kinds, read_step: StepReader) -> Reading:
    """The parts for a file of which nothing was read yet."""
    report, names, uses = Report(file), FlowNames(), Uses()
    computed = Computed(report, names, uses, kinds.secret_exists)
    return Reading(kinds, report, names, uses, computed, files, read_step)
