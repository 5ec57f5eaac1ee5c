"""What a validator found, in words: for options of actions and triggers, and for JSON Schemas."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable
from typing import Any

import msgspec

_PLACE = re.compile(r" - at `(?P<path>\$.*)`$", re.DOTALL)
_PART = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<index>[^\]]*)\]")
_ENUM = re.compile(r"Invalid enum value (?P<value>.*)", re.DOTALL)
_BOUND = re.compile(r"Expected `(?:int|float)` (?P<sign>>=|<=|>|<) (?P<bound>\S+)")
_SIGNS = {">=": "{} or more", "<=": "{} or less", ">": "more than {}", "<": "less than {}"}


def choices(words: Iterable[Any]) -> str:
    """`debug, info, warning or error`."""
    shown = [word if isinstance(word, str) else msgspec.json.encode(word).decode() for word in words]
    return f"{', '.join(shown[:-1])} or {shown[-1]}" if len(shown) > 1 else "".join(shown)


def explain(error: msgspec.ValidationError, of: Any, name: str = "") -> str:
    """msgspec's words in ours; `name` is what was converted to `of`."""
    text = str(error)
    found = _PLACE.search(text)
    path = found["path"] if found else "$"
    text = text[: found.start()] if found else text
    place = f"{name}{path[1:]}" if name else path[1:].lstrip(".")
    enum = _ENUM.fullmatch(text)
    if enum:
        words = _words(of, path)
        if words:
            return f"{place or 'the value'} must be {choices(words)}"
    bound = _BOUND.fullmatch(text)
    if bound:
        return f"{place or 'the value'} must be {_SIGNS[bound['sign']].format(bound['bound'])}"
    text = text.replace("Expected", "expected").replace("`", "")
    return f"{place}: {text}" if place else text


def _words(of: Any, path: str) -> list[Any]:
    """What may stand at a path of a type, in the order in which it was declared."""
    nodes = [of]
    for part in _PART.finditer(path):
        nodes = [inside for node in nodes for inside in _inside(node, part["name"])]
    return [word for node in nodes for word in _literals(node)]


def _literals(node: Any) -> list[Any]:
    if typing.get_origin(node) is typing.Literal:
        return list(typing.get_args(node))
    return [word for one in _options(node) if one is not node for word in _literals(one)]


def _options(node: Any) -> list[Any]:
    """The members of a union; what is not one stands alone."""
    if typing.get_origin(node) in (typing.Union, types.UnionType):
        return list(typing.get_args(node))
    return [node]


def _inside(node: Any, name: str | None) -> list[Any]:
    """The types below a name, or below an index (None)."""
    found: list[Any] = []
    for one in _options(node):
        arguments = typing.get_args(one)
        if isinstance(one, type) and issubclass(one, msgspec.Struct):
            found += [field.type for field in msgspec.structs.fields(one) if field.encode_name == name]
        elif typing.get_origin(one) is dict:
            found.append(arguments[1])
        elif arguments and name is None:
            found.append(arguments[0])
    return found
