"""Expressions: values, errors, bounds, and an attack suite."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.expressions import ExpressionSyntax, compile_expression
from flows.expressions.functions.patterns import size_of
from flows.expressions.makers import MAKERS
from flows.expressions.operators import BINARY, COMPARE, UNARY
from flows.expressions.table import FUNCTIONS
from reactor.contracts.errors import StepFailed
from tests.flows_help import problems

NAMES: dict[str, Any] = {
    "event": {"body": {"total": 5, "from": "x", "items": [1, 2], "keys": {"a": 1}, "no": None}},
    "vars": {"big": 2**200, "deep": [[[]]]},
}


def value(source: str) -> Any:
    return compile_expression(source).evaluate(NAMES)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_each_function_is_true(name: str) -> None:
    function = FUNCTIONS[name]
    assert function.summary.endswith((".", ")")) or function.summary
    assert value(function.example) == function.result


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("event.body.total > 0", True),
        ("event.body.from + 'y'", "xy"),
        ("event.body.items[-1]", 2),
        ("event.body.keys.a", 1),
        ("event.body['items'][0:1]", [1]),
        ("[x * 2 for x in event.body.items if x > 1]", [4]),
        ("{k: v for k, v in items(event.body.keys)}", {"a": 1}),
        ("default(event.body.none, 3)", 3),
        ("has(event.body.no)", True),
        ("has(event.nothing.at.all)", False),
        ("event.body.no == null and event.body.no is None", True),
        ("1 < 2 < 3 and not 3 < 2", True),
        ("'a' if event.body.total else 'b'", "a"),
        ("f'{event.body.total}/{event.body.items}'", "5/[1,2]"),
        ("1\n+ 2", 3),
        (r"'\d'", "\\d"),
        ("1 in ['1', 1]", True),
        ("true in [1]", False),
        ("vars.big", 2**200),
        ("'A'.lower().startswith('a')", True),
        ("7 // 2 + 7 % 4", 6),
        ("[] or 'empty'", "empty"),
    ],
)
def test_values(source: str, expected: Any) -> None:
    assert value(source) == expected


@pytest.mark.parametrize(
    ("source", "type", "words"),
    [
        ("event.body.totl", "missing", "did you mean total?"),
        ("event.body.items[9]", "missing", "2 elements"),
        ("1 == '1'", "expression", "cannot compare number 1 with string"),
        ("true == 1", "expression", "cannot compare boolean"),
        ("null < 1", "expression", "cannot order"),
        ("'a' + 1", "expression", "use str("),
        ("1 / 0", "expression", "division by zero"),
        ("9 ** 9 ** 9", "limit", "128 bits"),
        ("vars.big + 1", "limit", "128 bits"),
        ("1e308 * 10", "limit", "finite"),
        ("[x for x in range(9000) for y in range(9000)]", "limit", "steps"),
        ("'x'.replace('x', 'y' * 1)", "expression", "needs two numbers"),
        ("matches('a', '(')", "expression", "not understood"),
        ("range(10 ** 12)", "limit", "steps"),
        ("from_json('[' + join(range(3), '[') )", "expression", "cannot read"),
    ],
)
def test_errors_say_what_is_wrong(source: str, type: str, words: str) -> None:
    with pytest.raises(StepFailed) as raised:
        value(source)
    assert raised.value.type == type
    assert words in str(raised.value)


ATTACKS = [
    "().__class__.__bases__[0].__subclasses__()", "''.__class__", "event.__class__", "(1).__class__", "[].append(1)",
    "''.format(event)", "'{0.__class__}'.format(event)", "f'{event.__class__}'", "f'{event!r}'", "f'{event:>99}'",
    "__import__('os').system('id')", "eval('1')", "exec('1')", "open('/etc/passwd')", "getattr(event, 'x')",
    "globals()", "locals()", "vars()", "type(event)", "lambda: 1", "(lambda: 1)()", "(x := 1)", "[*event]",
    "{**event}", "await x", "yield", "(yield)", "{1, 2}", "(1, 2)", "(x for x in [1])", "1 if 1", "a = 1", "import os",
    "1 @ 2", "1 << 99", "1 >> 1", "1 & 1", "1 | 1", "1 ^ 1", "~1", "b'x'", "1j", "...", "event.body.total.real",
    "len.__call__([])", "len.__self__", "has.__globals__", "[].__len__()", "event is 1", "event.items()()",
    "sorted([1], key=len)", "max([1], key=len)", "x.gi_frame.f_globals", "''.join.__func__", "compile('1')",
    "[x async for x in y]", "breakpoint()", "help()", "print(1)", "input()", "str.format('x')", "ｅval('1')",
    "event\\u002e__class__", "{}.__class__.__mro__", "match x: 1", "try: 1", "1; 2", "1 +", ")(", "(" * 500, "[" * 200,
    "-" * 3000 + "1", "a" + ".a" * 1000, "1" * 5000, "9" * 4000, "'" + "\\x" , "\x00", "\ud800", "not " * 900 + "1",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", "f'{f\"{1}\"}'", "'%s' % 1", "'a' * 10**9",
    "[0] * 10**9", "2 ** 10000000", "10 ** 100 ** 100", "-1 ** 0.5 ** -9", "0 ** -1", "round(1.5, 10**9)", "int('9' * 9)",
    "sum([1e308, 1e308])", "join(['a'], 'b' * 10**9)", "range(-10**30, 10**30)", "flatten([range(9000), range(9000)])",
]  # fmt: skip


@pytest.mark.parametrize("source", ATTACKS, ids=range(len(ATTACKS)))
def test_attacks_give_an_error_or_plain_data_at_once(source: str) -> None:
    begun = time.process_time()
    try:
        found = compile_expression(source).evaluate(NAMES)
    except (ExpressionSyntax, StepFailed):
        found = None
    assert time.process_time() - begun < 1.0
    assert_plain(found)


def assert_plain(found: Any) -> None:
    assert found is None or type(found) in (bool, int, float, str, list, dict), type(found)
    for inner in found if isinstance(found, list) else found.values() if isinstance(found, dict) else ():
        assert_plain(inner)


def test_the_list_of_nodes_and_operators_is_closed() -> None:
    assert {node.__name__ for node in MAKERS} == {
        "Constant", "Name", "Attribute", "Subscript", "BinOp", "UnaryOp", "BoolOp", "Compare", "IfExp", "List", "Dict",
        "JoinedStr", "ListComp", "DictComp", "Call",
    }  # fmt: skip
    assert {op.__name__ for op in BINARY} == {"Add", "Sub", "Mult", "Div", "FloorDiv", "Mod", "Pow"}
    assert {op.__name__ for op in UNARY} == {"USub", "UAdd", "Not"}
    assert len(COMPARE) == 10


PIECES = [
    "event", ".body", ".__class__", "[0]", "(", ")", "[", "]", "{", "}", "1", "9", "'a'", "+", "-", "*", "**", "/", "//",
    "%", " if ", " else ", " for x in ", " in ", " not ", " and ", ",", ":", ".format(", "len(", "range(", "x", "f'{", "}'",
    "lambda ", "==", "<", " is ", "None", "true", "default(", "has(", "sorted(", "join(", "\n", '"', "\\", "=", ".items()",
]  # fmt: skip


def test_fuzzed_source_gives_a_value_or_an_expression_error() -> None:
    source = random.Random(3)
    for _ in range(20_000):
        text = "".join(source.choice(PIECES) for _ in range(source.randint(1, 14)))
        try:
            assert_plain(compile_expression(text).evaluate(NAMES))
        except (ExpressionSyntax, StepFailed):
            continue


@settings(max_examples=200)
@given(st.text(max_size=40))
def test_any_text_gives_a_value_or_an_expression_error(text: str) -> None:
    try:
        assert_plain(compile_expression(text).evaluate(NAMES))
    except (ExpressionSyntax, StepFailed):
        return


@given(st.integers(-(2**60), 2**60), st.integers(-(2**60), 2**60))
def test_arithmetic_is_exact(a: int, b: int) -> None:
    names = {"a": a, "b": b}
    assert compile_expression("a + b - a").evaluate(names) == b
    assert compile_expression("a * b").evaluate(names) == a * b
    assert compile_expression("a < b").evaluate(names) == (a < b)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("now()", "reads no clock"),
        ("date.now()", "reads no clock"),
        ("uuid()", "the same value each time"),
        ("random()", "the same value each time"),
        ("size(event.body)", "len(x)"),
        ("event.body.items.length()", "len(x)"),
        ("a && b", "write `and`"),
        ("a || b", "write `and` and `or`"),
        ("!a", "write `not`"),
        ("a and !b", "write `not`"),
        ("a ?? b", "default("),
        ("a ? b : c", "write `x if condition else y`"),
        ("a === b", "write =="),
        ("event?.body", "default("),
        ("event.body.items.map(x => x)", "[f(x) for x in list]"),
        ("event.body.items | length", "len(x)"),
        ("toJSON(event)", "json(x)"),
        ("'&&' +", "invalid syntax"),
        ("event.body.from.trim()", "s.strip()"),
        ("lenn(event.body)", "did you mean len?"),
    ],
)
def test_habits_of_other_languages_get_a_hint(source: str, words: str) -> None:
    with pytest.raises(ExpressionSyntax) as raised:
        compile_expression(source)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("len(event.body.no)", "not null; default(x, [])"),
        ("event.body.items.length", "write len("),
        ("event.body.keys.length", "write len("),
        ("sum(null)", "not null"),
        ("slug('!?')", "no letter and no digit"),
    ],
)
def test_errors_at_the_run_say_what_to_write(source: str, words: str) -> None:
    with pytest.raises(StepFailed) as raised:
        value(source)
    assert words in str(raised.value) and "null null" not in str(raised.value)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("slug('你好')", "你好"),
        ("slug('Crème Brûlée, Łódź & Öl')", "creme-brulee-łodz-ol"),
        ("slug('नमस्ते दुनिया')", "नमस्ते-दुनिया"),
        ("slug('Привет, мир!')", "привет-мир"),
        ("slug('a_b--C 9')", "a-b-c-9"),
        ("from_json(s)", [1]),
        (
            "to_csv([{'a': '=1+1', 'b': -5, 'c': '+49 30', 'd': '@x', 'e': '-1.5'}])",
            "a,b,c,d,e\r\n'=1+1,-5,'+49 30,'@x,-1.5\r\n",
        ),
        ("to_csv([{'a': '=1+1'}], formulas='keep')", "a\r\n=1+1\r\n"),
        ("to_csv([{'a': '=1+1'}], ';', 'escape')", "a\r\n'=1+1\r\n"),
    ],
)
def test_values_of_other_scripts_and_spreadsheets(source: str, expected: Any) -> None:
    assert compile_expression(source).evaluate({"s": "\ufeff[1]"}) == expected


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("now", "reads no clock"),
        ("none", "write null"),
        ("TRUE", "write true"),
        ("undefined", "write null"),
        ("body", "event.body"),
    ],
)
def test_names_by_habit_get_a_hint_at_load(name: str, words: str) -> None:
    (problem,) = problems(f"when: [{{event: x}}]\nonly_if: {name} == 1\ndo: [{{set: {{a: 1}}}}]\n")
    assert f"there is no name {name}; " in problem and words in problem


@pytest.mark.parametrize(
    ("pattern", "atoms", "counted"),
    [
        ("abc", 3, False),
        ("a{3}b", 4, True),
        ("(ab|c){2,5}", 20, True),
        ("((a{10}){10})x", 101, True),
        ("[^a-z]+[]x]\\\\{2}", 5, True),
        ("a{,2}", 5, False),
        ("((((", 0, False),
        ("))a{99999999}", 13, False),
    ],
)
def test_the_size_of_a_pattern_counts_repetitions(pattern: str, atoms: int, counted: bool) -> None:
    size = size_of(pattern)
    assert (size.atoms, size.counted) == (atoms, counted)


@given(st.text(alphabet="ab(){}[]\\\\pLQE^$|*+?,0123456789", max_size=60))
def test_any_pattern_has_a_size_at_once(pattern: str) -> None:
    assert size_of(pattern).atoms <= 10**180
