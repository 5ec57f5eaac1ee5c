"""What every store must do for sources that one daemon at a time may read."""

from __future__ import annotations

from reactor.contracts.errors import StaleClaim
from reactor.contracts.store import Hints, Store
from reactor.testing.checks import check, require

FOREVER = 1e12


@check
async def a_source_is_held_by_one_and_keeps_its_name(store: Store) -> None:
    a, b = [await store.join(owner, 0.0, FOREVER) for owner in ("own_a", "own_b")]
    first = await store.hold("mqtt:1", a, 1.0, "host:/data/mqtt:1")
    require(first is not None and first.name == "host:/data/mqtt:1", first)
    require(await store.hold("mqtt:1", b, 1.0, "other") is None, "held by two")
    other = await store.hold("mqtt:2", b, 1.0, "b/mqtt:2")
    require(other is not None and other.name == "b/mqtt:2", "another source is free")
    assert first is not None
    await store.let_go(first)
    second = await store.hold("mqtt:1", b, 1.0, "other")
    require(second is not None and second.name == first.name and second.token > first.token, second)
    await store.let_go(first)
    require(await store.hold("mqtt:1", a, 1.0, "x") is None, "an older hold let go of it")


@check
async def a_source_goes_with_the_lease_of_its_holder(store: Store) -> None:
    a, b = await store.join("own_a", 0.0, 100.0), await store.join("own_b", 0.0, FOREVER)
    first = await store.hold("cron:1", a, 0.0, "name")
    require(first is not None)
    a = await store.renew(a, 50.0, 100.0)
    require(await store.hold("cron:1", b, 149.0, "name") is None, "a renewed lease was taken over")
    told: list[Hints] = []
    store.watch(told.append)
    second = await store.hold("cron:1", b, 150.0, "name")
    require([owner for hints in told for owner in hints.lost] == ["own_a"], "its holder is told at once")
    require(second is not None and first is not None and second.token > first.token, second)
    for stale in (store.renew(a, 151.0, 100.0), store.hold("cron:2", a, 151.0, "name")):
        try:
            await stale
        except StaleClaim:
            continue
        raise AssertionError("a lease that was taken over still counts")
    again = await store.join("own_a", 151.0, 100.0)
    require(await store.hold("cron:1", again, 151.0, "name") is None, "the other holds it")


@check
async def a_source_keeps_its_name_over_lives(store: Store) -> None:
    lease = await store.join("own_a", 0.0, FOREVER)
    await store.hold("postgres:1", lease, 0.0, "host:/é/postgres:1")
    await store.close()
    await store.open()
    lease = await store.join("own_b", 0.0, FOREVER)
    held = await store.hold("postgres:1", lease, 0.0, "moved:/postgres:1")
    require(held is not None and held.name == "host:/é/postgres:1", held)
    require(await store.cursor("postgres:1") == {}, "the name is no part of its position")
