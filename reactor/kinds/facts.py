"""The facts as a table, made from their structs."""

from __future__ import annotations

from reactor.contracts.facts import FACTS, Fact


def fact_table() -> str:
    """Name, level, fields and occasion of each fact, as Markdown."""
    lines = ["| fact | level | fields | when |", "|---|---|---|---|"]
    for name, kind in FACTS.items():
        fields = kind.__struct_fields__
        level = "its own" if "level" in fields else kind.LEVEL
        public = ", ".join(f"`{field}`" for field in fields if field not in {*kind.INSIDE, "level"})
        lines.append(f"| `{name}` | {level} | {public} | {_occasion(kind)} |")
    return "\n".join(lines)


def _occasion(kind: type[Fact]) -> str:
    return " ".join((kind.__doc__ or "").split())
