"""Values with `${{ … }}` inside: a value that is only one expression keeps its type, otherwise the parts join."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from flows.expressions.bounds import MAX_SIZE, bounds_of, limit
from flows.expressions.messages import fault, show
from flows.expressions.values import text
from reactor.contracts.plan import Front, Names
from reactor.contracts.text import is_text

Render = Callable[[Names], Any]
NO_FRONTS: Mapping[str, Front] = MappingProxyType({})


class Rendered:
    """A compiled value of the flow. Fulfils `reactor.contracts.plan.Template`."""

    __slots__ = ("_render", "constant", "expressions", "fronts", "reads")

    def __init__(
        self, render: Render, expressions: list[Any], constant: Any = None, fronts: Mapping[str, Front] = NO_FRONTS
    ) -> None:
        self.fronts = fronts
        self._render = render
        self.expressions = expressions
        self.constant = constant
        self.reads = frozenset(path for expression in expressions for path in expression.reads)

    def render(self, names: Names) -> Any:
        return self._render(names)


def split_template(source: str) -> list[tuple[bool, str, int]]:
    """The parts of a string: (is expression, text, column of the text). Raises ValueError with the column of a
    `${{` that is never closed."""
    parts: list[tuple[bool, str, int]] = []
    place = 0
    while True:
        start = source.find("${{", place)
        if start < 0:
            if place < len(source):
                parts.append((False, source[place:], place))
            return parts
        if start > place:
            parts.append((False, source[place:start], place))
        end = _close(source, start + 3)
        if end < 0:
            raise ValueError(start)
        parts.append((True, source[start + 3 : end], start + 3))
        place = end + 2


def _close(source: str, place: int) -> int:
    """Where the `}}` of an expression stands: outside quotes and inner brackets."""
    quote = ""
    depth = 0
    while place < len(source):
        character = source[place]
        if quote:
            if character == "\\":
                place += 1
            elif character == quote:
                quote = ""
        elif character in "\"'":
            quote = character
        elif character == "{":
            depth += 1
        elif character == "}":
            if depth == 0:
                return place if source.startswith("}}", place) else -1
            depth -= 1
        place += 1
    return -1


def _join(pieces: list[Any], names: Names) -> str:
    budget = bounds_of(names)
    texts = []
    length = 0
    for piece in pieces:
        part = piece if isinstance(piece, str) else text(piece.evaluate(names), budget)
        texts.append(part)
        length += len(part)
        if length > MAX_SIZE:
            raise limit("the expression makes a string of more than 1 MiB")
    return "".join(texts)


def _front(text: str, first: Any) -> Front:
    """`first` is the compiled expression, None when it is not one."""
    return Front(text) if first is None else Front(text, first.begins, first.alone)


def _half(value: Any) -> Render:
    def render(names: Names) -> Any:
        raise fault(f"the text {show(value)} cannot be written as UTF-8: it holds half of a character")

    return render


def compile_template(value: Any, compile_part: Callable[[str, tuple[Any, ...], int], Any]) -> Rendered:
    """Compiles a value of any shape. `compile_part(source, path, column)` compiles one expression, where `path` is
    its place inside the value."""
    expressions: list[Any] = []
    fronts: dict[str, Front] = {}

    def build(part: Any, path: tuple[Any, ...]) -> Render | None:
        if isinstance(part, str):
            return _string(part, path)
        if isinstance(part, list):
            makers = [build(item, (*path, index)) for index, item in enumerate(part)]
            if not any(makers):
                return None
            pairs = list(zip(makers, part, strict=True))
            return lambda names: [maker(names) if maker else item for maker, item in pairs]
        if isinstance(part, dict):
            named = {key: build(item, (*path, key)) for key, item in part.items()}
            if not any(named.values()):
                return None
            triples = [(key, named[key], item) for key, item in part.items()]
            return lambda names: {key: maker(names) if maker else item for key, maker, item in triples}
        return None

    def _string(source: str, path: tuple[Any, ...]) -> Render | None:
        if not is_text(source):
            return _half(source)
        if "${{" not in source:
            return None
        pieces: list[Any] = []
        place = ".".join(map(str, path))
        for is_expression, content, column in split_template(source):
            if is_expression:
                compiled = compile_part(content, path, column)
                if place not in fronts:
                    fronts[place] = _front("".join(pieces), compiled)
                if compiled is None:
                    continue
                expressions.append(compiled)
                pieces.append(compiled)
            else:
                pieces.append(content)
        if len(pieces) == 1 and not isinstance(pieces[0], str):
            only = pieces[0]
            return lambda names: only.evaluate(names)
        return lambda names: _join(pieces, names)

    render = build(value, ())
    if render is None:
        return Rendered(lambda names: value, [], value)
    return Rendered(render, expressions, fronts=fronts)
