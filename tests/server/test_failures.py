"""Bursts, delays and proxies, by a clock of the tests' own."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from reactor.contracts.facts import Fact
from reactor.server.bursts import LONG, MAX_KEYS, QUIET, Bursts
from reactor.server.failures import FORGOTTEN, LONGEST, MAX_ADDRESSES, MAX_DELAYED, STEP, Failures
from reactor.server.proxies import Proxies


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await anyio.lowlevel.checkpoint()


class Heard:
    def __init__(self) -> None:
        self.facts: list[tuple[str, dict[str, Any]]] = []

    def observe(self, fact: Fact) -> None:
        self.facts.append((fact.NAME, fact.shown()))


def test_a_burst_is_written_once_and_the_next_one_says_what_was_left_out() -> None:
    clock = Clock()
    bursts = Bursts(clock)
    assert [bursts.note("a") for _ in range(500)] == [0] + [None] * 499
    clock.now += QUIET + 1
    assert bursts.note("a") == 499
    written = []
    for _ in range(int(2 * LONG)):
        clock.now += 1
        written.append(bursts.note("a"))
    assert len([left_out for left_out in written if left_out is not None]) == 1, "a burst without an end is told again"


def test_many_keys_are_one_burst_and_are_forgotten() -> None:
    clock = Clock()
    bursts = Bursts(clock)
    assert [bursts.note(str(number)) for number in range(MAX_KEYS)] == [0] * MAX_KEYS
    assert [bursts.note(f"x{number}") for number in range(1000)] == [0] + [None] * 999
    clock.now += LONG + 1
    assert bursts.note("x1") == 0


@pytest.mark.anyio
async def test_each_wrong_token_of_an_address_is_answered_later() -> None:
    clock = Clock()
    failures = Failures(Heard(), clock.sleep, clock)
    for _ in range(10):
        await failures.wrong("192.0.2.1")
    assert clock.slept == sorted(clock.slept) and clock.slept[0] == STEP and clock.slept[-1] == 10 * STEP
    assert failures.delay("192.0.2.2") == STEP, "another address begins anew"
    assert failures.delay("2001:db8::1") == STEP and failures.delay("2001:db8::2") == 2 * STEP, "one site, one sender"
    for _ in range(10_000):
        last = failures.delay("192.0.2.1")
    assert last == LONGEST
    clock.now += FORGOTTEN + 1
    assert failures.delay("192.0.2.1") == STEP
    for number in range(2 * MAX_ADDRESSES):
        failures.delay(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(failures._addresses) == MAX_ADDRESSES


@pytest.mark.anyio
async def test_only_so_many_answers_are_held_back() -> None:
    clock = Clock()
    held = 0
    go = anyio.Event()

    async def sleep(seconds: float) -> None:
        nonlocal held
        held += 1
        await go.wait()

    failures = Failures(Heard(), sleep, clock)
    done = 0

    async def wrong() -> None:
        nonlocal done
        await failures.wrong("192.0.2.1")
        done += 1

    async with anyio.create_task_group() as group:
        for _ in range(MAX_DELAYED + 100):
            group.start_soon(wrong)
        await anyio.wait_all_tasks_blocked()
        assert (held, done) == (MAX_DELAYED, 100)
        go.set()


PROXY, OTHER = "10.0.0.7", "192.0.2.9"


@pytest.mark.parametrize(
    ("peer", "headers", "address", "host"),
    [
        (OTHER, {"forwarded": "for=1.2.3.4;host=evil"}, OTHER, "h"),
        (PROXY, {}, PROXY, "h"),
        (PROXY, {"forwarded": "for=1.2.3.4;host=shop.example;proto=https"}, "1.2.3.4", "shop.example"),
        (PROXY, {"forwarded": 'for="[2001:db8::1]:4711"'}, "2001:db8::1", "h"),
        (PROXY, {"forwarded": 'For="1.2.3.4:80" ; Host="a.example:8443"'}, "1.2.3.4", "a.example:8443"),
        (PROXY, {"forwarded": "for=6.6.6.6;host=evil, for=1.2.3.4;host=a, for=10.0.0.8;host=b"}, "1.2.3.4", "a"),
        (PROXY, {"forwarded": "for=10.0.0.8, for=10.0.0.9"}, "10.0.0.8", "h"),
        (PROXY, {"forwarded": 'for="1.2.3.4'}, PROXY, "h"),
        (PROXY, {"forwarded": "for=1.2.3.4 5"}, PROXY, "h"),
        (PROXY, {"forwarded": ""}, PROXY, "h"),
        (PROXY, {"forwarded": "for=unknown"}, "unknown", "h"),
        (PROXY, {"x-forwarded-for": "6.6.6.6, 1.2.3.4", "x-forwarded-host": "evil, a"}, "1.2.3.4", "a"),
        (PROXY, {"x-forwarded-for": "1.2.3.4:1234"}, "1.2.3.4", "h"),
        (PROXY, {"x-forwarded-for": "2001:db8::1"}, "2001:db8::1", "h"),
        (PROXY, {"x-forwarded-host": "a"}, PROXY, "h"),
        ("::ffff:10.0.0.7", {"x-forwarded-for": "1.2.3.4"}, "1.2.3.4", "h"),
    ],
)
def test_only_the_word_of_named_proxies_counts(peer: str, headers: dict[str, str], address: str, host: str) -> None:
    sender = Proxies(("10.0.0.0/24",)).sender(peer, {"host": "h", **headers})
    assert (sender.address, sender.host) == (address, host)
    assert sender.forwarded == (address != peer)
    assert Proxies().sender(peer, {"host": "h", **headers}).address == peer
