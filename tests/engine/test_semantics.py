"""The table rows of the semantics, each as a run of the pure machine; recovery is checked at every fold."""

from __future__ import annotations

from typing import Any

import pytest

from reactor.contracts.errors import StepFailed
from reactor.contracts.journal import Ended, Failed, Paused, Resumed, Retried
from reactor.contracts.plan import BOUNDS
from reactor.contracts.run import Status
from reactor.engine import machine
from reactor.engine.entries import first_intentions
from reactor.testing.replay import Play, error_of
from tests.flows_help import plan, stored


def play(text: str, data: Any = None, script: Any = None) -> Play:
    one = Play(plan(text), stored(data), script)
    one.play()
    return one


def failing(*names: str, type: str = "x.broken", times: int = 99, **more: Any) -> Any:
    seen: dict[str, int] = {}

    def script(name: str, given: Any, attempt: int) -> Any:
        if name in names:
            seen[name] = seen.get(name, 0) + 1
            if seen[name] <= times:
                raise StepFailed(type, f"{name} broke", **more)
        return {"message": name, "stdout": name, "given": given}

    return script


def test_set_computes_from_top_to_bottom_and_is_the_steps_value() -> None:
    one = play("do:\n  - id: s\n    set: {a: 1, b: '${{ vars.a + 1 }}'}\noutput: ${{ steps.s }}")
    assert one.run.output == {"a": 1, "b": 2}
    assert one.entries == []


@pytest.mark.parametrize(("total", "size"), [(5, "small"), (50, "middle"), (500, "large")])
def test_if_takes_the_first_arm_that_holds(total: int, size: str) -> None:
    text = """
    do:
      - id: choice
        if: event.body.total < 10
        then: [{set: {size: small}}]
        elif:
          - if: event.body.total < 100
            then: [{set: {size: middle}}]
        else: [{set: {size: large}}]
    output: {size: "${{ vars.size }}", value: "${{ steps.choice }}"}
    """
    assert play(text, {"total": total}).run.output == {"size": size, "value": {"size": size}}


@pytest.mark.parametrize(
    ("value", "answer"), [(1, "number"), ("1", "string"), (True, "yes"), (None, "null"), (2, "else")]
)
def test_switch_compares_by_json_type(value: Any, answer: str) -> None:
    text = """
    do:
      - switch: event.body.v
        cases:
          1: [{set: {a: number}}]
          "1": [{set: {a: string}}]
          true: [{set: {a: "yes"}}]
          null: [{set: {a: "null"}}]
        default: [{set: {a: "else"}}]
    output: ${{ vars.a }}
    """
    assert play(text, {"v": value}).run.output == answer


def test_skipped_steps_leave_their_result_missing() -> None:
    text = """
    do:
      - {id: a, only_if: "false", call: log, with: {message: x}}
      - {id: b, unless: ["false", "true"], call: log, with: {message: x}}
    output: "${{ [has(steps.a), default(steps.b, 7)] }}"
    """
    one = play(text)
    assert one.run.output == [False, 7]
    assert one.performed == []


def test_parallel_all_joins_writes_in_order_of_declaration() -> None:
    text = """
    do:
      - id: p
        parallel:
          a: [{call: log, with: {message: 1}, id: la}, {set: {x: 1}}]
          b: [{set: {y: 2}}]
    output: "${{ [vars.x, vars.y, steps.p.b.y, steps.la.message] }}"
    """
    assert play(text, script=failing()).run.output == [1, 2, 2, "la"]


def test_parallel_all_fails_fast_and_cancels_the_others() -> None:
    text = """
    do:
      - parallel:
          a: [{id: bad, call: log, with: {message: 1}}]
          b: [{wait: 1h}, {id: never_run, call: log, with: {message: 1}}]
    """
    one = play(text, script=failing("bad"))
    assert one.run.status is Status.failed
    assert one.performed == ["bad"]
    assert one.now < 1010
    assert error_of(one.run)["step"] == "bad"


def test_parallel_any_takes_the_first_success_and_drops_the_losers_writes() -> None:
    text = """
    do:
      - id: p
        parallel:
          bad: [{id: bad, call: log, with: {message: 1}}, {set: {x: 1}}]
          good: [{id: good, call: log, with: {message: 1}}, {set: {y: 1}}]
          slow: [{wait: 1h}, {set: {z: 1}}]
        join: any
    output: "${{ [has(vars.x), vars.y, has(vars.z), steps.p.bad] }}"
    """
    assert play(text, script=failing("bad")).run.output == [False, 1, False, None]


def test_parallel_n_and_impossible_n() -> None:
    text = """
    do:
      - parallel:
          a: [{id: a, call: log, with: {message: 1}}]
          b: [{id: b, call: log, with: {message: 1}}]
          c: [{wait: 1h}]
        join: 2
    """
    assert play(text, script=failing()).run.status is Status.succeeded
    assert play(text, script=failing("a")).now > 4000
    assert play(text, script=failing("a", "b")).run.status is Status.failed


def test_parallel_first_is_the_first_to_end_even_failed() -> None:
    text = "do:\n  - parallel: {a: [{id: a, call: log, with: {message: 1}}], b: [{wait: 1h}]}\n    join: first\n"
    assert play(text, script=failing()).run.status is Status.succeeded
    assert play(text, script=failing("a")).run.status is Status.failed


def test_parallel_custom_join_sees_branches() -> None:
    text = """
    do:
      - parallel:
          a: [{id: a, call: log, with: {message: 1}}]
          b: [{wait: 1h}]
        join: branches.a.status == "failed" and branches.a.error.type == "x.broken"
    """
    assert play(text, script=failing("a")).run.status is Status.succeeded
    one = play(text, script=failing())
    assert error_of(one.run)["type"] == "join"


def test_needs_make_a_graph_whose_branches_see_what_they_need() -> None:
    text = """
    do:
      - parallel:
          c: {needs: [a, b], do: [{set: {sum: "${{ vars.x + vars.y }}"}}]}
          a: [{set: {x: 1}}]
          b: [{wait: 1s}, {set: {y: 2}}]
    output: ${{ vars.sum }}
    """
    assert play(text).run.output == 3


def test_at_once_bounds_the_branches() -> None:
    text = """
    do:
      - parallel:
          a: [{id: a, call: log, with: {message: 1}}]
          b: [{id: b, call: log, with: {message: 1}}]
        at_once: 1
    """
    one = Play(plan(text), stored())
    assert list(one.run.open) == ["do/0/parallel/a/0"]
    one.play()
    assert one.performed == ["a", "b"]


def test_foreach_in_order_writes_the_enclosing_vars() -> None:
    text = """
    vars: {sum: 0}
    do:
      - id: f
        foreach: event.body
        do: [{set: {sum: "${{ vars.sum + item * index }}"}}]
    output: "${{ [vars.sum, steps.f] }}"
    """
    assert play(text, [1, 2, 3]).run.output == [8, [{"sum": 0}, {"sum": 2}, {"sum": 8}]]


def test_foreach_over_an_object_has_keys_and_gives_an_object() -> None:
    text = "do:\n  - id: f\n    foreach: event.body\n    as: v\n    do: [{set: {x: '${{ [key, v] }}'}}]\noutput: ${{ steps.f }}"
    assert play(text, {"a": 1}).run.output == {"a": {"x": ["a", 1]}}


def test_foreach_at_once_keeps_turn_names_local_and_the_order_of_results() -> None:
    text = """
    do:
      - id: f
        foreach: [3, 1, 2]
        at_once: 2
        do:
          - wait: "${{ item }}s"
          - set: {mine: "${{ item }}"}
    output: "${{ [steps.f, has(vars.mine)] }}"
    """
    assert play(text).run.output == [[{"mine": 3}, {"mine": 1}, {"mine": 2}], False]


def test_foreach_fails_at_the_first_failing_turn_and_at_too_many_elements() -> None:
    text = "do:\n  - foreach: [1, 2]\n    at_once: 2\n    do: [{only_if: item == 1, fail: no}, {wait: 1h}]\n"
    assert play(text).now == 1000.0
    text = "do:\n  - foreach: event.body\n    do: [{set: {a: 1}}]\n"
    assert error_of(play(text, [0] * 10_001).run)["type"] == "limit"


def test_while_and_until() -> None:
    text = """
    vars: {n: 0}
    do:
      - while: vars.n < 3
        max: 10
        do: [{set: {n: "${{ vars.n + 1 }}"}}]
      - until: steps.inner.m >= 2
        max: 5
        do: [{id: inner, set: {m: "${{ index + 1 }}"}}]
    output: "${{ [vars.n, vars.m] }}"
    """
    assert play(text).run.output == [3, 2]
    text = "do:\n  - while: 'true'\n    max: 3\n    do: [{set: {a: 1}}]\n"
    assert error_of(play(text).run)["type"] == "limit"


def test_wait_is_a_timer_and_a_past_moment_is_none() -> None:
    one = play("do:\n  - wait: 1h30m\n  - wait: {at: \"'1970-01-01T00:00:00Z'\"}\n")
    assert one.now == 1000 + 5400
    assert len(one.entries) == 1


def test_stop_from_inside_a_branch_cancels_the_others_and_skips_output() -> None:
    text = """
    do:
      - parallel:
          a: [{stop: success}]
          b: [{wait: 1h}]
    output: {a: 1}
    finally: [{id: last, call: log, with: {message: bye}}]
    on_error: [{id: wrong, call: log, with: {message: no}}]
    """
    one = play(text)
    assert (one.run.status, one.run.output, one.performed) == (Status.succeeded, None, ["last"])
    assert play(text.replace("stop: success", "stop: cancelled")).run.status is Status.cancelled


def test_fail_has_type_message_details() -> None:
    text = "do:\n  - fail: {type: shop.closed, message: 'at ${{ 1 + 1 }}', details: {a: 1}}\n"
    error = error_of(play(text).run)
    assert (error["type"], error["message"], error["details"]) == ("shop.closed", "at 2", {"a": 1})
    assert error_of(play("do: [{fail: no}]").run)["type"] == "fail"


def test_retry_waits_longer_each_time_and_then_succeeds() -> None:
    text = "do:\n  - {id: a, call: log, with: {message: 1}, retry: {times: 3, wait: 1s..3s}}\noutput: ${{ steps.a.message }}\n"
    one = play(text, script=failing("a", times=3))
    assert one.run.output == "a"
    assert 1000 + 0.75 * 6 <= one.now <= 1000 + 6.1
    assert one.performed == ["a"] * 4


def test_retry_after_wins_and_not_retryable_is_not_retried() -> None:
    text = "do:\n  - {id: a, call: log, with: {message: 1}, retry: {times: 1, wait: 1s}}\n"
    assert play(text, script=failing("a", times=1, retry_after=60.0)).now > 1059
    one = play(text, script=failing("a", type="http.status", status=404))
    assert one.performed == ["a"]
    assert error_of(one.run)["attempt"] == 1


def test_retry_if_decides_and_then_pause_waits_for_a_person() -> None:
    text = "do:\n  - {id: a, call: log, with: {message: 1}, retry: {times: 1, wait: 1s, if: error.status == 404, then: pause}}\n"
    one = play(text, script=failing("a", type="http.status", status=404, times=2))
    assert machine.status(one.run) is Status.paused
    one.fold(Resumed("do/0", one.now))
    assert one.play().status is Status.succeeded


def test_retry_of_a_block_repeats_the_whole_block() -> None:
    text = """
    do:
      - try: [{id: a, call: log, with: {message: 1}}, {id: b, call: log, with: {message: 1}}]
        retry: {times: 1, wait: 1s}
        on_error: []
    """
    assert play(text, script=failing("b", times=1)).performed == ["a", "b", "a", "b"]


def test_on_error_goes_on_with_the_result_missing() -> None:
    text = """
    do:
      - {id: a, call: log, with: {message: 1}, on_error: [{set: {why: "${{ [error.type, error.step, error.attempt] }}"}}]}
    output: "${{ [vars.why, has(steps.a)] }}"
    """
    assert play(text, script=failing("a")).run.output == [["x.broken", "a", 1], False]


@pytest.mark.parametrize(("type", "caught"), [("http.status", "web"), ("http.connect", "web"), ("disk", "rest")])
def test_handlers_are_tried_in_order(type: str, caught: str) -> None:
    text = """
    do:
      - id: a
        call: log
        with: {message: 1}
        on_error:
          - {catch: "http.*", do: [{set: {by: web}}]}
          - {if: error.attempt == 1, do: [{set: {by: rest}}]}
    output: ${{ vars.by }}
    """
    assert play(text, script=failing("a", type=type, status=404)).run.output == caught


def test_handler_then_fail_and_failing_handler_keep_the_cause() -> None:
    text = "do:\n  - {id: a, call: log, with: {message: 1}, on_error: [{do: [{set: {x: 1}}], then: fail}]}\n"
    assert error_of(play(text, script=failing("a")).run)["type"] == "x.broken"
    text = "do:\n  - {id: a, call: log, with: {message: 1}, on_error: [{fail: second}]}\n"
    error = error_of(play(text, script=failing("a")).run)
    assert (error["type"], error["details"]["cause"]["type"]) == ("fail", "x.broken")


def test_handler_then_retry_happens_once() -> None:
    text = "do:\n  - {id: a, call: log, with: {message: 1}, on_error: [{do: [{set: {x: 1}}], then: retry}]}\n"
    assert play(text, script=failing("a", times=1)).run.status is Status.succeeded
    one = play(text, script=failing("a"))
    assert (one.run.status, one.performed) == (Status.failed, ["a", "a"])


def test_try_has_finally_after_success_rescue_and_failure() -> None:
    text = """
    do:
      - id: t
        try: [{id: a, call: log, with: {message: 1}}]
        finally: [{id: f, call: log, with: {message: 1}}]
      - id: after
        call: log
        with: {message: 1}
    """
    assert play(text, script=failing()).performed == ["a", "f", "after"]
    one = play(text, script=failing("a"))
    assert (one.performed, one.run.status) == (["a", "f"], Status.failed)
    one = play(text, script=failing("a", "f"))
    assert error_of(one.run)["details"]["cause"]["step"] == "a"


def test_timeout_cancels_the_block_and_on_timeout_is_a_value() -> None:
    text = """
    do:
      - id: t
        try: [{wait: 1h}]
        on_error: [{set: {type: "${{ error.type }}"}}]
        timeout: 10s
      - {id: w, wait: 1h, timeout: 5s, on_timeout: {late: true}}
    output: "${{ [vars.type, steps.w] }}"
    """
    one = play(text)
    assert one.run.output == ["timeout", {"late": True}]
    assert one.now == 1015


def test_on_timeout_runs_steps() -> None:
    """Their last value is the step's; what fails in them goes to the step's own handlers."""
    text = """
    do:
      - id: w
        wait: 1h
        timeout: 5s
        on_timeout:
          do:
            - {id: c, call: log, with: {message: "${{ error.type }}"}}
            - {set: {late: true}}
      - id: x
        wait: 1h
        timeout: 5s
        on_timeout: {do: [{id: bad, call: log, with: {message: 1}}]}
        on_error: [{set: {rescued: "${{ error.details.cause.type }}"}}]
    output: "${{ [steps.w, default(steps.c.message, 0), has(steps.x), vars.rescued] }}"
    """
    one = play(text, script=failing("bad"))
    assert (one.run.output, one.performed) == ([{"late": True}, "c", False, "timeout"], ["c", "bad"])
    assert 1010 <= one.now < 1011


def test_parallel_settled_waits_for_all_and_fails_for_none() -> None:
    text = """
    do:
      - id: p
        parallel:
          a: [{id: a, call: log, with: {message: 1}}, {set: {x: 1}}]
          b: [{id: b, call: log, with: {message: 1}}]
          c: [{wait: 1h}, {set: {y: 2}}]
        join: settled
    output: "${{ steps.p }}"
    """
    one = play(text, script=failing("a", "b"))
    assert one.run.status is Status.succeeded and one.now > 4000
    output: Any = one.run.output
    assert {name: output[name]["status"] for name in "ab"} == {"a": "failed", "b": "failed"}
    assert output["a"]["error"]["type"] == "x.broken" and output["c"] == {"y": 2}
    assert "x" not in one.run.scope.vars and one.run.scope.vars["y"] == 2


def test_the_runs_timeout_is_a_failure_with_on_error_and_finally() -> None:
    text = """
    timeout: 1m
    do: [{wait: 1h}]
    on_error: [{id: e, call: log, with: {message: "${{ error.type }}"}}]
    finally: [{id: f, call: log, with: {message: 1}}]
    """
    one = play(text)
    assert (one.run.status, error_of(one.run)["type"], one.performed) == (Status.failed, "timeout", ["e", "f"])


def test_cancel_runs_finally_but_not_on_error() -> None:
    text = """
    do: [{wait: 1h}]
    output: {a: 1}
    on_error: [{id: e, call: log, with: {message: 1}}]
    finally: [{id: f, call: log, with: {message: 1}}]
    """
    one = Play(plan(text), stored())
    one.cancel("enough")
    one.play()
    assert (one.run.status, one.run.output, one.performed) == (Status.cancelled, None, ["f"])
    assert error_of(one.run)["message"] == "enough"


def test_finally_has_five_minutes_and_its_failure_fails_the_run() -> None:
    one = play("do: [{set: {a: 1}}]\nfinally: [{wait: 1h}]\n")
    assert (one.run.status, one.now) == (Status.failed, 1300)
    one = play("do: [{set: {a: 1}}]\noutput: 1\nfinally: [{fail: no}]\n")
    assert (one.run.status, one.run.output) == (Status.failed, None)


def test_an_error_in_output_or_vars_fails_the_run() -> None:
    assert error_of(play("do: []\noutput: ${{ event.body.x }}", {}).run)["type"] == "missing"
    assert error_of(play("vars: {a: '${{ event.body.x }}'}\ndo: []\n", {}).run)["type"] == "missing"


def test_on_error_of_the_flow_never_rescues() -> None:
    one = play("do: [{fail: no}]\non_error: [{set: {seen: '${{ error.message }}'}}]\n")
    assert one.run.status is Status.failed
    assert one.run.scope.vars == {"seen": "no"}


def test_only_the_first_respond_counts() -> None:
    one = play("do: [{respond: {status: 201, json: {a: 1}}}, {respond: {status: 202, text: no}}]\n")
    assert one.run.response == {"status": 201, "headers": {}, "kind": "json", "content": {"a": 1}}


def test_sub_flow_waits_for_its_child_and_wears_its_failure() -> None:
    text = "do: [{id: c, run: other, with: {a: 1}}]\noutput: ${{ steps.c }}\n"
    other = "flow: other\ndo: [{set: {a: 1}}]\n"
    from tests.flows_help import documents

    parent = documents(text, other)[0].plan
    assert parent is not None
    one = Play(parent, stored())
    one.play()
    assert machine.status(one.run) is Status.waiting
    one.fold(Ended("do/0", one.now, {"x": 1}))
    assert one.run.output == {"x": 1}
    two = Play(parent, stored())
    two.play()
    two.cancel()
    assert two.run.outgoing == ["run_child_1"]


def test_a_crash_in_a_never_step_pauses_and_resume_repeats_it() -> None:
    text = "do: [{id: a, call: shell.run, with: {argv: [x]}}]\noutput: ${{ steps.a.stdout }}\n"
    one = Play(plan(text), stored(), failing())
    for entry in first_intentions(one.run):
        one.fold(entry)
    one.fold(Paused("do/0", one.now, {"type": "crashed", "message": "", "details": {}}))
    assert machine.status(one.run) is Status.paused
    one.fold(Resumed("do/0", one.now))
    assert one.play().output == "a"


def test_retry_by_a_person_goes_on_from_the_failed_step() -> None:
    text = "do: [{id: a, call: log, with: {message: 1}}, {id: b, call: log, with: {message: 1}}]\noutput: ${{ steps.b.message }}\n"
    one = play(text, script=failing("b", times=1))
    assert one.run.status is Status.failed
    assert one.run.retry_point is not None
    entries = [*one.entries, Retried("", one.now, one.run.retry_point)]
    again = machine.recover(one.plan, one.event, "run_1", "http", 1000.0, {}, BOUNDS, entries)
    assert list(again.open) == ["do/1"]
    machine.fold(again, Ended("do/1", one.now, {"message": "b"}))
    machine.walk(again)
    assert (again.status, again.output) == (Status.succeeded, "b")


def test_a_failure_of_an_expression_cannot_be_retried() -> None:
    one = play("do: [{id: a, call: log, with: {message: 1}}, {set: {x: '${{ event.body.no }}'}}]\n", {})
    assert (one.run.status, one.run.retry_point) == (Status.failed, None)


def test_a_run_has_no_timers_or_open_steps_after_its_end() -> None:
    one = play("timeout: 1h\ndo:\n  - parallel: {a: [{wait: 1h}], b: [{stop: success}]}\n")
    assert (one.run.timers, one.run.open, one.run.paused) == ({}, {}, {})


def test_an_entry_that_fits_nowhere_diverges() -> None:
    from reactor.contracts.errors import Diverged

    one = Play(plan("do: [{wait: 1h}]"), stored())
    with pytest.raises(Diverged):
        machine.fold(one.run, Failed("do/7", 1.0, {}))


def test_foreach_over_one_large_value_ends_with_limit() -> None:
    """Each turn ends with all of the event: as JSON that is a thousand times its size."""
    text = "do:\n  - foreach: event.data.rows\n    do: [{set: {all: '${{ event.data }}'}}]\n"
    data = {"rows": list(range(1000)), "text": "x" * 400_000}
    played = play(text, data=data)
    assert played.run.status is Status.failed and error_of(played.run)["type"] == "limit"
    assert play(text, data={"rows": list(range(1000)), "text": "x"}).run.status is Status.succeeded


def test_branches_may_be_called_like_handlers() -> None:
    """`handler`, `finally` and `on_timeout` are words of the engine for its own blocks, and names like any others."""
    branches = "{handler: [{set: {a: 1}}], finally: [{set: {b: 2}}], on_timeout: [{fail: {type: x.y, message: no}}]}"
    one = play(f"do: [{{id: p, parallel: {branches}, join: settled}}]\noutput: '${{{{ vars }}}}'\n")
    assert (one.run.status, one.run.output) == (Status.succeeded, {"a": 1, "b": 2}), one.run.error
