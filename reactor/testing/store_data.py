"""What every store must do with queues, dead letters and collections."""

from __future__ import annotations

from reactor.contracts.errors import StaleClaim
from reactor.contracts.journal import Ended, Started
from reactor.contracts.run import Status
from reactor.contracts.store import Acceptance, Claim, Effects, Store
from reactor.testing.checks import check, require
from reactor.testing.store_parts import BIG, OWNER, accept, change, event, joined, live, message, start


@check
async def a_queue_gives_in_order_while_it_has_places(store: Store) -> None:
    await store.push([message("m1", data={"n": 1}), message("m2"), message("o1", "other")])
    await store.push([message("m1", data="again"), message("m3")])
    require([m.id for m in await store.take("mails", 2)] == ["m1", "m2"], "the oldest two")
    require([m.id for m in await store.take("mails", 2)] == ["m1", "m2"], "waiting until an event is made of them")
    begun = start("run_1", begun=live(Started("do/0", 100.0)))
    await joined(store)
    await store.accept(Acceptance(event=event(key="m1", data={"n": 1}), starts=[begun], taken="m1", owner=OWNER))
    require([m.id for m in await store.take("mails", 2)] == ["m2"], "one place is taken")
    states = {q.name: (q.waiting, q.active) for q in await store.queues()}
    require(states == {"mails": (2, 1), "other": (1, 0)}, states)
    await store.append(Claim("run_1", OWNER, 1), 1, Effects(change=change(Status.succeeded)))
    require([m.id for m in await store.take("mails", 2)] == ["m2", "m3"], "its run has ended")
    await store.accept(Acceptance(event=event("evt_2", key="m2"), taken="m2", owner=OWNER))
    require([m.id for m in await store.take("mails", 5)] == ["m3"], "a message without runs has no place")


@check
async def a_push_is_in_the_append(store: Store) -> None:
    await accept(store, start(begun=live(Started("do/0", 100.0))))
    claim = Claim("run_1", OWNER, 1)
    try:
        await store.append(claim, 7, Effects(change=change(), pushes=[message("m1")]))
        raise AssertionError("a stale append was taken")
    except StaleClaim:
        require(await store.take("mails", 1) == [], "nothing of a stale append")
    await store.append(
        claim,
        1,
        Effects(change=change(Status.succeeded), entries=[Ended("do/0", 101.0)], pushes=[message("m2", data=BIG)]),
    )
    (only,) = await store.take("mails", 1)
    require(only.id == "m2" and only.data == BIG)


@check
async def dead_letters_are_listed_alone(store: Store) -> None:
    await accept(store)
    kept = event("evt_2")
    kept.invalid = "no json"
    await store.accept(Acceptance(event=kept, owner=OWNER))
    found = await store.events(None, 10, invalid=True)
    require([(stored.id, stored.invalid) for stored in found.items] == [("evt_2", "no json")], found)
    require(len((await store.events(None, 10)).items) == 2)


@check
async def items_of_a_collection_have_versions(store: Store) -> None:
    first = await store.put_item("c", "b", {"n": [1, None]}, "run_1/do/0/0", 10.0)
    require(first is not None and (first.version, first.value, first.at) == (1, {"n": [1, None]}, 10.0), first)
    again = await store.put_item("c", "b", {"n": 2}, "run_1/do/0/0", 11.0)
    require(again == first, "a write that is repeated after a crash changes nothing")
    second = await store.put_item("c", "b", "x", "run_2/do/0/0", 12.0, expected=1)
    require(second is not None and second.version == 2, second)
    require(await store.put_item("c", "b", "y", "run_3/do/0/0", 13.0, expected=1) is None, "another has written it")
    require(await store.put_item("c", "a", 1, None, 13.0, expected=0) is not None, "none was there")
    require(await store.put_item("c", "a", 1, None, 13.0, expected=0) is None, "one is there")
    await store.put_item("other", "z", 0, None, 13.0)
    require([item.key for item in await store.items("c", "", 10)] == ["a", "b"])
    require([item.key for item in await store.items("c", "a", 10)] == ["b"])
    require([item.key for item in await store.items("c", "", 1)] == ["a"])
    require(await store.collection_sizes() == {"c": 2, "other": 1})
    require(await store.delete_item("c", "b", expected=1) is None, "it has another version")
    require(await store.delete_item("c", "b", expected=2) is True)
    require(await store.delete_item("c", "b") is False and await store.item("c", "b") is None)
    found = await store.item("c", "a")
    require(found is not None and found.value == 1)


@check
async def keys_of_items_come_by_code_points(store: Store) -> None:
    keys = ["", "a", "B", "é", "\U0001f511", "z", "10", "9", "\uffff"]
    for key in keys[1:]:
        await store.put_item("c", key, 0, None, 1.0)
    require([item.key for item in await store.items("c", "", 100)] == sorted(keys[1:]), "order")
