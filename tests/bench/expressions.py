"""What the bounds of expressions are worth: the costliest evaluations that they let through, in time and memory.

`python -m tests.bench.expressions` prints a table, worst first. Each row is an expression over large values that uses up
its budget (or comes near); the aim is 50 ms of processor time and 64 MiB for each."""

from __future__ import annotations

import gc
import time
import tracemalloc
from typing import Any

from flows import expressions
from flows.expressions import bounds, compile_expression
from reactor.contracts.errors import StepFailed


def deep(levels: int, width: int) -> Any:
    return [deep(levels - 1, width) for _ in range(width)] if levels else 1


def values() -> dict[str, Any]:
    rows = [{"id": n, "name": f"n{n}", "price": n * 1.5, "tags": ["a", "b"], "on": n % 2 == 0} for n in range(30_000)]
    return {
        "rows": rows,
        "few": rows[:600],
        "ints": list(range(40_000)),
        "again": list(range(40_000, 80_000)),
        "floats": [((n * 7919) % 50_021) / 7 for n in range(50_000)],
        "mixed": [n if n % 2 else n / 2 for n in range(50_000)],
        "words": [f"word{(n * 7919) % 40_009:060d}"[:60] for n in range(40_000)],
        "long_words": [("x" * 2000) + str(n) for n in range(3_000)],
        "lists": [[n % 7, n] for n in range(30_000)],
        "collide": [n * (2**61 - 1) for n in range(30_000)],
        "tree": deep(6, 6),
        "tree2": deep(6, 6),
        "text": "lorem ipsum dolor " * 20_000,
        "cased": "Äöß " * 100_000,
        "blanks": " " * 1_000_000,
        "ends": "ab\n" * 300_000,
        "commas": "ab," * 300_000,
        "a": "a" * 29_990,
        "b": "a" * 50 + "b" + "a" * 49,
        "mess": "".join("ab"[(n * n * 7919 >> 5) % 2] for n in range(3_000)),
        "huge": "x" * 1_000_000,
        "wide": "你" * 1_000_000,
        "patterns": [f"(a{{1,{n % 50 + 1}}}b?){{{n % 10 + 1}}}c{n}" for n in range(2_000)],
        "formats": [f"%Y-%m-%d x{n}" for n in range(2_000)],
        "json": "[" + ",".join(["[]"] * 250_000) + "]",
        "objects": "[" + ",".join(['{"a":1}'] * 110_000) + "]",
        "keys": {f"key{n}": n for n in range(50_000)},
        "one": {"a": [1, 2, {"b": "c" * 400_000}]},
        "date": "2026-01-31T12:00:00Z",
    }


SIZES = (30, 300, 3000)
"""Prefixes of the large values, so that a call is cheap enough to be made many times: `v.text300`."""


def sized(found: dict[str, Any]) -> dict[str, Any]:
    """The values and their prefixes."""
    for name, value in list(found.items()):
        if isinstance(value, (list, str)):
            found |= {f"{name}{size}": value[:size] for size in SIZES}
        elif len(value) > 100:
            found |= {f"{name}{size}": dict(list(value.items())[:size]) for size in SIZES}
    return found


MIXES = [
    "[x for x in v.ints]",
    "[x for x in v.ints if false]",
    "[1 for x in v.ints for y in v.ints]",
    "[x for x in v.rows if x.price > 3 and x.id != 7 and x.on]",
    '[{"a": x.id, "b": x.name, "c": x.price} for x in v.rows]',
    "{x.name: x.price for x in v.rows}",
    "[x.price * 1.2 + x.id - 3 / 7 for x in v.rows]",
    '[f"{x.name}-{x.id}" for x in v.rows]',
    "[default(x.nothing, 0) for x in v.rows]",
    "[default(v.keys[x], 0) for x in v.words]",
    "[has(x.nothing.more) for x in v.rows]",
    "[x for x in v.ints if x not in v.again]",
    "[x for x in v.words if x not in v.words]",
    "[x for x in v.ints if x in v.words]",
    "[x for x in v.words if x in v.mixed]",
    "[x for x in v.lists if x in v.rows]",
    "[x for x in v.long_words if x in v.long_words]",
    "[x for x in range(4000) if v.tree == v.tree2]",
    "[x for x in range(4000) if v.text == v.text]",
    "[x for x in range(4000) if v.rows == v.rows]",
    "[x for x in range(900) if v.a < v.a]",
    "[x for x in range(900) if v.lists < v.lists]",
    "[sorted(v.floats) for x in range(100)]",
    "[sorted(v.words) for x in range(100)]",
    "sorted(v.mixed)",
    "sorted(v.lists)",
    "sorted(v.long_words)",
    'sorted(v.rows, by="name", reverse=true)',
    'sorted(v.rows, by="tags")',
    "[min(v.floats) for x in range(100)]",
    "[max(v.words) for x in range(100)]",
    "[sum(v.floats) for x in range(100)]",
    "[any(v.floats) for x in range(100)]",
    "unique(v.collide)",
    "unique(v.words)",
    "unique(v.lists)",
    "[unique(v.floats) for x in range(100)]",
    "[reversed(v.ints) for x in range(100)]",
    "[v.ints[1:] for x in range(4000)]",
    "[v.ints[::-1] for x in range(4000)]",
    "[v.text[1:] for x in range(4000)]",
    "[v.ints + [x] for x in range(4000)]",
    "[v.text + str(x) for x in range(4900)]",
    '[f"{v.text}{x}" for x in range(4900)]',
    "[list(v.huge) for x in range(10)]",
    "[list(v.wide[:40000]) for x in range(10)]",
    "range(90000)",
    "[range(900) for x in range(900)]",
    "zip(v.ints[:20000], v.floats[:20000])",
    "enumerate(v.ints[:30000])",
    "[[enumerate([x]) for x in range(20)] for y in range(200)]",
    "[flatten(v.lists) for x in range(10)]",
    'group_by(v.rows[:20000], "name")',
    '[group_by(v.few, "tags") for x in range(100)]',
    "[keys(v.keys) for x in range(100)]",
    "[items(v.keys) for x in range(100)]",
    "[merge(v.keys, v.keys) for x in range(100)]",
    'pick(v.keys, v.words)',
    "omit(v.keys, v.words)",
    "[lower(v.text) for x in range(4000)]",
    "[upper(v.cased) for x in range(400)]",
    "[upper(v.cased[:60]) for x in range(4000)]",
    "[title(v.cased) for x in range(400)]",
    '[v.blanks.strip("  ") for x in range(400)]',
    '[strip(v.blanks, "abcdefghijklmnopqrstuvwxyz ") for x in range(400)]',
    "[strip(v.huge, v.wide) for x in range(400)]",
    "[v.text.split() for x in range(400)]",
    '[v.commas.split(",") for x in range(400)]',
    "[lines(v.ends) for x in range(400)]",
    '[join(v.words, ",") for x in range(400)]',
    '[join(v.rows, ",") for x in range(400)]',
    '[replace(v.text, "lorem", "LOREM") for x in range(400)]',
    '[replace(v.text, "o", "O") for x in range(400)]',
    "[v.a.find(v.b) for x in range(4000)]",
    "[v.b in v.a for x in range(4000)]",
    "[v.a.count(v.b) for x in range(4000)]",
    '["zz" in v.text for x in range(4000)]',
    '[starts_with(v.huge, "x") for x in range(9000)]',
    "[v.huge.startswith(v.huge) for x in range(900)]",
    '[matches(x, "^word0*([1-9]+)$") for x in v.words]',
    '[matches(v.a, "(a?){40}b") for x in range(400)]',
    '[matches(v.a, "(a|aa)+$") for x in range(400)]',
    '[matches(v.huge, "(x{1,100}){1,9}y") for x in range(400)]',
    '[matches(v.huge, "(?:.*x){9}.*y") for x in range(400)]',
    '[matches(v.text, "[a-q][^u-z]{13}x") for x in range(400)]',
    '[matches(v.text3000, "[^z]*a[^z]{30}b[^z]{30}zz") for x in range(400)]',
    '[matches(v.a3000, "a[ab]{200}c") for x in range(400)]',
    '[matches(v.mess, "(a|b)*a(a|b){12}c") for x in range(400)]',
    '[matches(v.mess, "a[ab]{200}c") for x in range(400)]',
    '[matches(v.mess, "a[ab]{20}b[ab]{20}cc") for x in range(400)]',
    '[matches(v.mess, "(a|b){1,9}(aa|ba){1,9}$") for x in range(400)]',
    '[extract(v.mess, "((a|b)*)(a(a|b){12}).*b$") for x in range(400)]',
    '[matches(v.mess, "\\\\pL{50}" + str(x)) for x in range(400)]',
    '[matches(v.mess, "(?i)[\\\\pL\\\\pN]+" + str(x)) for x in range(400)]',
    '[matches(v.mess, v.patterns[x]) for x in range(400)]',
    '[extract(v.text, "(.*)(d)(.*)z") for x in range(400)]',
    '[extract(v.a, "(a*)*b|(a*)(a*)$") for x in range(400)]',
    '[extract(x, "([a-z]+)([0-9]+)") for x in v.words]',
    "[matches(v.date, p) for p in v.patterns]",
    "[matches(v.text, p) for p in v.patterns]",
    "[slug(v.text) for x in range(400)]",
    "[slug(v.cased) for x in range(400)]",
    "[slug(v.wide[:3000]) for x in range(400)]",
    "[slug(x) for x in v.words]",
    "[truncate(v.huge, 900000) for x in range(400)]",
    "[json(v.rows) for x in range(400)]",
    "[json(v.few) for x in range(400)]",
    "[json(x) for x in v.rows]",
    "json([v.one for x in range(900)])",
    "[v.one for x in range(900)]",
    "[{'x': x, 'all': v.few} for x in v.few]",
    "from_json(v.json)",
    "from_json(v.objects)",
    "[from_json(json(x)) for x in v.rows]",
    "yaml(v.few)",
    "[yaml(x) for x in v.few]",
    'csv(v.ends)',
    'csv(v.commas)',
    "to_csv(v.few)",
    "to_csv(v.rows)",
    "[base64(v.huge) for x in range(400)]",
    "[unbase64(base64(v.text)) for x in range(400)]",
    "[hex(v.huge) for x in range(400)]",
    "[sha256(v.huge) for x in range(4000)]",
    "[sha256(v.wide) for x in range(4000)]",
    "[sha256(x) for x in v.words]",
    '[hmac_sha256("k", v.text) for x in range(4000)]',
    "[url_encode(v.cased) for x in range(400)]",
    "[url_encode(v.text) for x in range(400)]",
    "[url_decode(v.text) for x in range(400)]",
    "[url_decode(url_encode(v.cased[:9000])) for x in range(400)]",
    "[parse_date(v.date) for x in range(9000)]",
    '[parse_date("31.01.2026 12:00", "%d.%m.%Y %H:%M", "Europe/Berlin") for x in range(9000)]',
    "[parse_date(v.date[0:10] + f[8:], f) for f in v.formats]",
    '[format_date(v.date, "%d.%m.%Y %H:%M", "Europe/Berlin") for x in range(9000)]',
    '[format_date(x, f"%Y{x}") for x in range(9000)]',
    '[add_duration(v.date, "1h30m") for x in range(9000)]',
    "[seconds_between(v.date, v.date) for x in range(9000)]",
    "[date(v.date) for x in range(9000)]",
    "[fixed(x, 2) for x in v.floats]",
    "[round(x, 2) for x in v.floats]",
    "[int(str(x)) for x in v.ints]",
    '[int("9" + str(x)) ** 3 for x in v.ints]',
    "[[[y for y in [x]] for x in [z]] for z in v.ints]",
    "[x if x > 3 else (x + 1 if x > 2 else (x + 2 if x > 1 else x + 3)) for x in v.ints]",
    "[a for a, b in v.lists if a == b or a < b]",
]  # fmt: skip


class Watched(bounds.Budget):
    """Remembers the budget of the last evaluation."""

    last: bounds.Budget

    def __init__(self) -> None:
        super().__init__()
        Watched.last = self


def quick(source: str, names: dict[str, Any]) -> tuple[float, int, str]:
    """Milliseconds, steps taken, and how it ended."""
    compiled = compile_expression(source)
    begun = time.process_time()
    try:
        compiled.evaluate(names)
        outcome = "a value"
    except StepFailed as error:
        outcome = f"{error.type}: {error}"
    return (time.process_time() - begun) * 1000, bounds.MAX_STEPS - Watched.last.left, outcome


def measured(source: str, names: dict[str, Any]) -> tuple[float, float, int, str]:
    """The best milliseconds of three, MiB, steps taken, and how it ended."""
    best, steps, outcome = min(quick(source, names) for _ in range(3))
    tracemalloc.start()
    quick(source, names)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return best, peak / 2**20, steps, outcome


def main() -> None:
    vars(expressions)["Budget"] = Watched
    names = {"v": sized(values())}
    gc.collect()
    gc.freeze()
    rows = [(*measured(source, names), source) for source in MIXES]
    print(f"{'ms':>8} {'MiB':>6} {'steps':>9} {'ns/step':>8}")
    for ms, size, steps, outcome, source in sorted(rows, reverse=True):
        print(f"{ms:8.1f} {size:6.1f} {steps:9,} {ms * 1e6 / max(steps, 1):8.0f}  {source[:80]}  → {outcome[:50]}")


if __name__ == "__main__":
    main()
