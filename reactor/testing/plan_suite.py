"""What every store must do with versions of flows."""

from __future__ import annotations

from reactor.contracts.store import PlanRecord, Store
from reactor.testing.checks import check, require


@check
async def plans_are_kept_by_version(store: Store) -> None:
    plan = PlanRecord(version="v1", flow="f", file="f.yaml", folder="/", source="do: []", language=1, at=1.0)
    await store.save_plan(plan)
    await store.save_plan(plan)
    require(await store.plan("v1") == plan and await store.plan("v2") is None)
    require([p.version for p in await store.versions("f")] == ["v1"])


@check
async def flow_files_keep_the_versions_that_they_gave_last(store: Store) -> None:
    one, two = (
        PlanRecord(version=v, flow=v, file="/f.yaml", folder="/", source="do: []", language=1, at=1.0) for v in "ab"
    )
    require(await store.flow_files() == {})
    await store.save_plan(one, two, files={"/f.yaml": {"a": "a", "b": "b"}, "/g.yaml": {"g": "a"}})
    require(await store.plan("a") == one and await store.plan("b") == two)
    require(await store.flow_files() == {"/f.yaml": {"a": "a", "b": "b"}, "/g.yaml": {"g": "a"}})
    await store.save_plan(files={"/f.yaml": {"a": "b"}, "/g.yaml": {}})
    require(await store.flow_files() == {"/f.yaml": {"a": "b"}}, "a file without flows is forgotten")
