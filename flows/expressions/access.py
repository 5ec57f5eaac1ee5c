"""Reading keys, elements and slices, with errors that name the whole path, what is there, and the nearest key."""

from __future__ import annotations

import ast
import difflib
import itertools
from collections.abc import Callable
from typing import Any

from flows.expressions.bounds import CHARACTERS, ELEMENT, VALUE, Budget
from flows.expressions.compiler import LITERAL_NAMES, Compiler, Evaluate
from flows.expressions.messages import fault, hiding, kind, show, told
from reactor.contracts.errors import StepFailed
from reactor.contracts.plan import Names

Missing = Callable[[str, Any, Any], StepFailed]


NAMED = 64
"""Characters of a key in a message, and of one that is compared with its neighbours."""


def missing(path: str, container: Any, key: Any) -> StepFailed:
    """The error for a path that is not there, with what is."""
    details: dict[str, Any] = {"path": path}
    if hiding.get():
        message = f"missing {path}"
    elif isinstance(container, dict):
        keys = [shortened(str(k)) for k in itertools.islice(container, 20)]
        near = difflib.get_close_matches(str(key), keys, 1) if len(str(key)) <= NAMED else []
        details["keys"] = keys
        message = f"missing {path}"
        if near:
            details["near"] = near[0]
            message += f" (did you mean {near[0]}?)"
        elif key == "length":
            message += "; write len(…) for the number of elements"
        message += f"; there are: {', '.join(keys)}" if keys else "; the object is empty"
    elif isinstance(container, (list, tuple, str)):
        message = f"missing {path}; it has {len(container)} element{'' if len(container) == 1 else 's'}"
        if key == "length":
            message = f"missing {path}; write len(…) for the number of elements"
    else:
        message = f"missing {path}; {path.rpartition('.')[0] or 'it'} is {told(container)}"
    return StepFailed("missing", message, details=details)


def shortened(key: str) -> str:
    return key if len(key) <= NAMED else key[: NAMED - 1] + "…"


def absent(path: str, container: Any, key: Any) -> StepFailed:
    """The same inside `default` and `has`, where nobody reads it."""
    return StepFailed("missing", "missing")


def static_path(compiler: Compiler, node: ast.expr) -> tuple[str, ...] | None:
    """The keys of `a.b["c"]`, or None when some part is computed."""
    keys: list[str] = []
    current = node
    while True:
        if isinstance(current, ast.Attribute):
            keys.append(compiler.parsed.name(current.attr))
            current = current.value
        elif (
            isinstance(current, ast.Subscript)
            and isinstance(current.slice, ast.Constant)
            and isinstance(current.slice.value, str)
        ):
            keys.append(compiler.parsed.constant(current.slice.value))
            current = current.value
        elif isinstance(current, ast.Name) and current.id not in LITERAL_NAMES:
            return (current.id, *reversed(keys))
        else:
            return None


def first_path(compiler: Any, tree: ast.expr) -> tuple[str, ...]:
    """The path that an expression is written to begin with, `()` when it begins with anything else (a bracket too)."""
    node = tree
    while True:
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Attribute):
                return ()
            node = node.func.value
        elif (path := static_path(compiler, node)) is not None:
            return path if node.col_offset == 0 else ()
        elif isinstance(node, (ast.Attribute, ast.Subscript)):
            node = node.value
        elif isinstance(node, (ast.BinOp, ast.Compare)):
            node = node.left
        elif isinstance(node, ast.BoolOp):
            node = node.values[0]
        elif isinstance(node, ast.IfExp):
            node = node.body
        else:
            return ()


def path_text(path: tuple[str, ...]) -> str:
    text = path[0]
    for key in path[1:]:
        text += f".{key}" if key.isidentifier() else f"[{show(key)}]"
    return text


def access(compiler: Compiler, node: ast.Attribute | ast.Subscript) -> Evaluate:
    if isinstance(node, ast.Attribute) and "__" in node.attr and node.attr.startswith("__"):
        raise compiler.error(node, f"no such key {node.attr}")
    path = static_path(compiler, node)
    if path is not None:
        return _read_path(compiler, node, path)
    if isinstance(node, ast.Attribute):
        inner = compiler.compile(node.value)
        key = compiler.parsed.name(node.attr)
        label = ast.unparse(node.value)[:80]
        error = absent if compiler.guarded else missing
        return lambda names, budget: _get(inner(names, budget), key, error, label, True)
    if isinstance(node.slice, ast.Slice):
        return _slice(compiler, node, node.slice)
    inner = compiler.compile(node.value)
    index = compiler.compile(node.slice)
    label = ast.unparse(node.value)[:80]
    error = absent if compiler.guarded else missing

    def read(names: Names, budget: Budget) -> Any:
        container = inner(names, budget)
        key = index(names, budget)
        if isinstance(key, str) and len(key) > CHARACTERS:
            budget.charge(len(key) // CHARACTERS)
        return _get(container, key, error, label)

    return read


def _get(container: Any, key: Any, error: Missing, label: str, dotted: bool = False) -> Any:
    if isinstance(container, dict):
        if not isinstance(key, str):
            raise fault(f"{_label(label, key)}: the key of an object is a string, not {told(key)}")
        if key in container:
            return container[key]
    elif isinstance(container, (list, tuple, str)):
        if isinstance(key, int) and not isinstance(key, bool):
            if -len(container) <= key < len(container):
                return container[key]
        elif not isinstance(key, str):
            place = _label(label, key)
            raise fault(f"{place}: the index of a {kind(container)} is a whole number, not {told(key)}")
    if error is absent:
        raise absent(label, container, key)
    raise error(_label(label, key, dotted), container, key)


def _label(label: str, key: Any, dotted: bool = False) -> str:
    return f"{label}.{key}" if dotted else f"{label}[{show(key)}]"


def _read_path(compiler: Compiler, node: ast.expr, path: tuple[str, ...]) -> Evaluate:
    root, keys = path[0], path[1:]
    if "__" in root:
        raise compiler.error(node, f"no such name {root}")
    compiler.note(path, node)
    guarded = compiler.guarded

    def slow(names: Names) -> Any:
        if root not in names:
            raise StepFailed("missing", f"missing {root}", details={"path": root})
        value = names[root]
        for position, key in enumerate(keys):
            if isinstance(value, dict) and key in value:
                value = value[key]
            elif guarded:
                raise absent(root, value, key)
            else:
                raise missing(path_text(path[: position + 2]), value, key)
        return value

    if len(keys) == 1:
        key = keys[0]

        def read_one(names: Names, budget: Budget) -> Any:
            try:
                return names[root][key]
            except (KeyError, TypeError):
                return slow(names)

        return read_one
    if len(keys) == 2:
        first, second = keys

        def read_two(names: Names, budget: Budget) -> Any:
            try:
                return names[root][first][second]
            except (KeyError, TypeError):
                return slow(names)

        return read_two

    def read(names: Names, budget: Budget) -> Any:
        try:
            value = names[root]
            for key in keys:
                value = value[key]
            return value
        except (KeyError, TypeError):
            return slow(names)

    return read


def _slice(compiler: Compiler, node: ast.Subscript, bounds: ast.Slice) -> Evaluate:
    inner = compiler.compile(node.value)
    parts = [compiler.compile(part) if part is not None else None for part in (bounds.lower, bounds.upper, bounds.step)]

    def read(names: Names, budget: Budget) -> Any:
        container = inner(names, budget)
        if not isinstance(container, (list, tuple, str)):
            raise fault(f"only a list or a string has a slice, not {told(container)}")
        numbers = [part(names, budget) if part is not None else None for part in parts]
        for value in numbers:
            if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
                raise fault(f"a slice needs whole numbers, not {told(value)}")
        if numbers[2] == 0:
            raise fault("the step of a slice is not 0")
        length = len(range(*slice(*numbers).indices(len(container))))
        if isinstance(container, str):
            budget.charge(length // CHARACTERS)
            return budget.made(container[slice(*numbers)])
        budget.charge(length // 8)
        budget.make(VALUE + length * ELEMENT)
        piece = list(container[slice(*numbers)])
        budget.keep(piece)
        return piece

    return read
