"""Reading keys, elements and slices, with errors that name the whole path, what is there, and the nearest key."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Mapping
from typing import Any

from flows.expressions.values import Budget, fault, kind, show
from reactor.contracts.errors import StepFailed

Evaluate = Callable[[Mapping[str, Any], Budget], Any]
LITERAL_NAMES: dict[str, Any] = {"null": None, "true": True, "false": False}


def missing(path: str, container: Any, key: Any) -> StepFailed:
    """The error for a path that is not there, with what is."""
    details: dict[str, Any] = {"path": path}
    if isinstance(container, dict):
        keys = [str(k) for k in container][:20]
        near = difflib.get_close_matches(str(key), keys, 1)
        details["keys"] = keys
        message = f"missing {path}"
        if near:
            details["near"] = near[0]
            message += f" (did you mean {near[0]}?)"
        message += f"; there are: {', '.join(keys)}" if keys else "; the object is empty"
    elif isinstance(container, (list, tuple, str)):
        message = f"missing {path}; it has {len(container)} element{'' if len(container) == 1 else 's'}"
    else:
        message = f"missing {path}; {path.rpartition('.')[0] or 'it'} is {kind(container)} {show(container)}"
    return StepFailed("missing", message, details=details)


def static_path(compiler: Any, node: ast.expr) -> tuple[str, ...] | None:
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


def path_text(path: tuple[str, ...]) -> str:
    text = path[0]
    for key in path[1:]:
        text += f".{key}" if key.isidentifier() else f"[{show(key)}]"
    return text


def access(compiler: Any, node: ast.Attribute | ast.Subscript) -> Evaluate:
    if isinstance(node, ast.Attribute) and "__" in node.attr and node.attr.startswith("__"):
        raise compiler.error(node, f"no such key {node.attr}")
    path = static_path(compiler, node)
    if path is not None:
        return _read_path(compiler, node, path)
    if isinstance(node, ast.Attribute):
        inner = compiler.compile(node.value)
        key = compiler.parsed.name(node.attr)
        label = ast.unparse(node.value)[:80]
        return lambda names, budget: _get(inner(names, budget), key, f"{label}.{key}")
    if isinstance(node.slice, ast.Slice):
        return _slice(compiler, node, node.slice)
    inner = compiler.compile(node.value)
    index = compiler.compile(node.slice)
    label = ast.unparse(node.value)[:80]

    def read(names: Mapping[str, Any], budget: Budget) -> Any:
        container = inner(names, budget)
        key = index(names, budget)
        return _get(container, key, f"{label}[{show(key)}]")

    return read


def _get(container: Any, key: Any, path: str) -> Any:
    if isinstance(container, dict):
        if not isinstance(key, str):
            raise fault(f"{path}: the key of an object is a string, not {kind(key)} {show(key)}")
        if key in container:
            return container[key]
        raise missing(path, container, key)
    if isinstance(container, (list, tuple, str)) and isinstance(key, int) and not isinstance(key, bool):
        if -len(container) <= key < len(container):
            return container[key]
        raise missing(path, container, key)
    if isinstance(container, (list, tuple, str)) and not isinstance(key, str):
        raise fault(f"{path}: the index of a {kind(container)} is a whole number, not {kind(key)} {show(key)}")
    raise missing(path, container, key)


def _read_path(compiler: Any, node: ast.expr, path: tuple[str, ...]) -> Evaluate:
    root, keys = path[0], path[1:]
    if "__" in root:
        raise compiler.error(node, f"no such name {root}")
    compiler.note(path, node)

    def slow(names: Mapping[str, Any]) -> Any:
        if root not in names:
            raise StepFailed("missing", f"missing {root}", details={"path": root})
        value = names[root]
        for position, key in enumerate(keys):
            value = _get(value, key, path_text(path[: position + 2]))
        return value

    if len(keys) == 1:
        key = keys[0]

        def read_one(names: Mapping[str, Any], budget: Budget) -> Any:
            try:
                return names[root][key]
            except (KeyError, TypeError):
                return slow(names)

        return read_one
    if len(keys) == 2:
        first, second = keys

        def read_two(names: Mapping[str, Any], budget: Budget) -> Any:
            try:
                return names[root][first][second]
            except (KeyError, TypeError):
                return slow(names)

        return read_two

    def read(names: Mapping[str, Any], budget: Budget) -> Any:
        try:
            value = names[root]
            for key in keys:
                value = value[key]
            return value
        except (KeyError, TypeError):
            return slow(names)

    return read


def _slice(compiler: Any, node: ast.Subscript, bounds: ast.Slice) -> Evaluate:
    inner = compiler.compile(node.value)
    parts = [compiler.compile(part) if part is not None else None for part in (bounds.lower, bounds.upper, bounds.step)]

    def read(names: Mapping[str, Any], budget: Budget) -> Any:
        container = inner(names, budget)
        if not isinstance(container, (list, tuple, str)):
            raise fault(f"only a list or a string has a slice, not {kind(container)} {show(container)}")
        numbers = [part(names, budget) if part is not None else None for part in parts]
        for value in numbers:
            if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
                raise fault(f"a slice needs whole numbers, not {kind(value)} {show(value)}")
        if numbers[2] == 0:
            raise fault("the step of a slice is not 0")
        piece = container[slice(*numbers)]
        return piece if isinstance(piece, str) else list(piece)

    return read
