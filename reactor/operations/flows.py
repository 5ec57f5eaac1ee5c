"""Flows: what is loaded, versions, starting by hand."""

from __future__ import annotations

from collections.abc import Sequence

from reactor.catalog.catalog import Catalog
from reactor.contracts.clock import Clock
from reactor.contracts.errors import Refused, StepFailed
from reactor.contracts.event import Event, rfc3339
from reactor.contracts.plan import Plan
from reactor.contracts.states import FlowState
from reactor.contracts.store import Runs
from reactor.contracts.trigger import Receipt
from reactor.kit.urls import without_credentials
from reactor.router.inbox import Inbox
from reactor.router.prepare import Preparer
from reactor.server import answers


class FlowOperations:
    def __init__(self, store: Runs, catalog: Catalog, inbox: Inbox, preparer: Preparer, clock: Clock) -> None:
        self._store = store
        self._catalog = catalog
        self._inbox = inbox
        self._preparer = preparer
        self._clock = clock

    def items(self) -> list[answers.FlowItem]:
        """Loaded flows by name, then files of which nothing runs."""
        by_file: dict[str, list[str]] = {}
        broken: set[str] = set()
        for problem in self._catalog.problems:
            by_file.setdefault(problem.file, []).append(str(problem))
            if problem.severity == "error":
                broken.add(problem.file)
        plans = self._catalog.flows.plans
        items = [self._item(plan, by_file.get(plan.file, [])) for _, plan in sorted(plans.items())]
        items += [
            answers.FlowItem(
                name=None, file=file, version=None, enabled=False, state=FlowState.problems, triggers=[],
                problems=by_file[file],
            )
            for file in sorted(broken - {plan.file for plan in plans.values()})
        ]  # fmt: skip
        return items

    def flow(self, name: str) -> answers.Flow | None:
        plan = self._catalog.flows.plans.get(name)
        if plan is None:
            return None
        return answers.Flow(
            name=plan.flow,
            file=plan.file,
            version=plan.version,
            description=plan.description,
            labels=dict(plan.labels),
            enabled=plan.enabled,
            state=self._state(plan),
            triggers=_triggers(plan),
            problems=[str(problem) for problem in self._catalog.problems if problem.file == plan.file],
            source=without_credentials(plan.source),
        )

    def _item(self, plan: Plan, problems: list[str]) -> answers.FlowItem:
        return answers.FlowItem(
            name=plan.flow,
            file=plan.file,
            version=plan.version,
            description=plan.description,
            labels=dict(plan.labels),
            enabled=plan.enabled,
            state=self._state(plan),
            triggers=_triggers(plan),
            problems=problems,
        )

    def _state(self, plan: Plan) -> FlowState:
        if plan.flow in self._catalog.refused:
            return FlowState.refused
        return FlowState.enabled if plan.enabled else FlowState.disabled

    async def versions(self, name: str) -> list[answers.Version]:
        return [
            answers.Version(
                version=record.version,
                flow=record.flow,
                file=record.file,
                loaded=rfc3339(record.at),
                source=without_credentials(record.source),
            )
            for record in await self._store.versions(name)
        ]

    async def start(self, flow: str, inputs: object, key: str | None, wait: float | None) -> Receipt:
        plan = self._catalog.flows.plans[flow]
        if not plan.enabled:
            raise Refused(409, "Disabled", f"the flow {flow} has `enabled: false`")
        if plan.inputs is not None:
            problems = plan.inputs.problems(inputs)
            if problems:
                raise Refused(422, "The inputs do not fit", f"{flow} cannot start: {_inputs_said(problems)}")
        event = Event(type="manual", source=f"/flows/{flow}", data=inputs, key=key)
        try:
            prepared = self._preparer.start(plan, event, "manual", self._clock.now())
        except StepFailed as error:
            raise Refused(422, "The inputs do not fit", str(error)) from None
        return await self._inbox.commit(prepared, wait)

    async def reload(self) -> None:
        await self._catalog.refresh()


def _triggers(plan: Plan) -> list[answers.FlowTrigger]:
    return [answers.FlowTrigger(one.name, one.kind, one.source) for one in plan.triggers]


def _inputs_said(problems: Sequence[str]) -> str:
    return "; ".join(
        f"the inputs {problem.removeprefix('the value ')}" if problem.startswith("the value ") else problem
        for problem in problems
    )
