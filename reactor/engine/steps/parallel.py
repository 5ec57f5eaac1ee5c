"""`parallel`: branches at once, each on a copy of the variables; the join says when it is enough."""

from __future__ import annotations

import enum

from reactor.contracts import plan
from reactor.contracts.errors import ErrorObject, StepFailed
from reactor.engine.state import BLOCKED, BlockFrame, Raised, Run, Scope, StepFrame, cancel_block, push
from reactor.engine.steps import Verb


class BranchState(enum.StrEnum):
    """What the `join` expression reads as `branches.<name>.status`."""

    pending = "pending"
    running = "running"
    succeeded = "succeeded"
    failed = "failed"


class Progress:
    """How far the branches of one attempt are."""

    __slots__ = ("errors", "results", "scopes", "status")

    def __init__(self, names: list[str]) -> None:
        self.status = dict.fromkeys(names, BranchState.pending)
        self.results: dict[str, object] = dict.fromkeys(names)
        self.errors: dict[str, ErrorObject | None] = dict.fromkeys(names)
        self.scopes: dict[str, Scope] = {}

    def count(self, status: BranchState) -> int:
        return sum(1 for value in self.status.values() if value is status)


class Parallel(Verb):
    def enter(self, run: Run, frame: StepFrame) -> object:
        body: plan.Parallel = frame.step.body
        frame.state = Progress([branch.name for branch in body.branches])
        if not body.branches:
            return {}
        self._start(run, frame)
        return BLOCKED

    def _start(self, run: Run, frame: StepFrame) -> None:
        body: plan.Parallel = frame.step.body
        progress: Progress = frame.state
        free = body.at_once - progress.count(BranchState.running)
        begun: list[plan.Branch] = []
        for branch in body.branches:
            if len(begun) >= free:
                break
            if progress.status[branch.name] is BranchState.pending and all(
                progress.status[name] is BranchState.succeeded for name in branch.needs
            ):
                progress.status[branch.name] = BranchState.running
                begun.append(branch)
        for branch in reversed(begun):
            scope = frame.scope.branch()
            for name in _all_needs(body, branch):
                needed = progress.scopes[name]
                scope.vars.update(needed.wrote_vars or {})
                scope.steps.update(needed.wrote_steps or {})
            progress.scopes[branch.name] = scope
            push(run, frame, branch.do, f"{frame.path}/{branch.do.suffix}", scope, branch.name)

    def ended(self, run: Run, frame: StepFrame, block: BlockFrame, value: object) -> object:
        progress: Progress = frame.state
        assert isinstance(block.role, str)
        progress.status[block.role] = BranchState.succeeded
        progress.results[block.role] = value
        return self._join(run, frame, block)

    def failed(self, run: Run, frame: StepFrame, block: BlockFrame, error: ErrorObject) -> object:
        progress: Progress = frame.state
        assert isinstance(block.role, str)
        progress.status[block.role] = BranchState.failed
        progress.errors[block.role] = error
        return self._join(run, frame, block, error)

    def _join(self, run: Run, frame: StepFrame, block: BlockFrame, error: ErrorObject | None = None) -> object:
        body: plan.Parallel = frame.step.body
        progress: Progress = frame.state
        frame.children = [child for child in frame.children if child is not block]
        succeeded, failed = progress.count(BranchState.succeeded), progress.count(BranchState.failed)
        total = len(body.branches)
        over = succeeded + failed == total
        enough = False
        if body.join == "all":
            if error is not None:
                raise Raised(error)
            enough = over
        elif body.join == "settled":
            enough = over
        elif body.join == "first":
            if error is not None:
                raise Raised(error)
            enough = True
        elif body.join == "any" or isinstance(body.join, int):
            wanted = 1 if body.join == "any" else int(body.join)
            enough = succeeded >= wanted
            if not enough and error is not None and total - failed < wanted:
                raise Raised(error)
        else:
            names = {**frame.scope.names, "branches": self._branches(body, progress)}
            enough = bool(body.join.evaluate(names))  # type: ignore[union-attr]
            if over and not enough:
                raise StepFailed(
                    "join",
                    f"all branches ended, and {body.join.source} does not hold",  # type: ignore[union-attr]
                    details={"branches": names["branches"]},
                    retryable=error is not None,
                )
        if not enough:
            self._start(run, frame)
            return BLOCKED
        for child in frame.children:
            cancel_block(run, child)
        frame.children = []
        result = {}
        for branch in body.branches:
            if progress.status[branch.name] is BranchState.succeeded:
                frame.scope.merge(progress.scopes[branch.name])
            result[branch.name] = progress.results[branch.name]
            if body.join == "settled" and progress.status[branch.name] is BranchState.failed:
                result[branch.name] = {"status": "failed", "error": progress.errors[branch.name]}
        return result

    def _branches(self, body: plan.Parallel, progress: Progress) -> dict[str, object]:
        return {
            branch.name: {
                "status": progress.status[branch.name].value,
                "result": progress.results[branch.name],
                "error": progress.errors[branch.name],
            }
            for branch in body.branches
        }


def _all_needs(body: plan.Parallel, branch: plan.Branch) -> list[str]:
    """Everything that a branch needs, directly or not, in order of declaration."""
    needs = {other.name: other.needs for other in body.branches}
    wanted: set[str] = set()
    stack = list(branch.needs)
    while stack:
        name = stack.pop()
        if name not in wanted:
            wanted.add(name)
            stack.extend(needs[name])
    return [other.name for other in body.branches if other.name in wanted]
