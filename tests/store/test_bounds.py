"""What a store that an older Reactor wrote says of a run's bounds."""

from __future__ import annotations

from reactor.contracts.run import Start
from reactor.store.codec import encode, pack_environment, unpack_environment


def test_a_run_stored_before_bounds_were_kept_has_the_first_set() -> None:
    assert unpack_environment(None) == ({}, 1)
    assert unpack_environment(encode({"A": "b"})) == ({"A": "b"}, 1)


def test_the_number_is_no_variable() -> None:
    start = Start(id="run_1", flow="f", version="v", trigger="t", at=1.0, environment={"A": "b"})
    assert unpack_environment(pack_environment(start)) == ({"A": "b"}, 2)
