"""YAML 1.2 core on PyYAML's node graph: values that remember where they stand.

`on`, `no` and `12:30:00` are strings here; duplicate keys, `<<`, tags, `.nan` and `.inf` are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from flows.problems import Problem

MAX_NODES = 10_000
MAX_DEPTH = 100

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own name for a class table


_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_REFUSED = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_WORDS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


@dataclass(slots=True, eq=False)
class Node:
    """One value of a document. `kind` is map, list or scalar; `entries` keeps a map's keys with their places."""

    kind: str
    line: int
    column: int
    value: Any = None
    style: str | None = None
    entries: dict[str, tuple[Node, Node]] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)

    def plain(self) -> Any:
        """The value as plain data."""
        if self.kind == "map":
            return {key: node.plain() for key, (_, node) in self.entries.items()}
        if self.kind == "list":
            return [node.plain() for node in self.items]
        return self.value

    def get(self, key: str) -> Node | None:
        found = self.entries.get(key)
        return found[1] if found else None

    def at(self, path: tuple[Any, ...]) -> Node:
        """The node at a path of keys and indexes, or the nearest one above it."""
        node = self
        for part in path:
            if node.kind == "map" and part in node.entries:
                node = node.entries[part][1]
            elif node.kind == "list" and isinstance(part, int) and part < len(node.items):
                node = node.items[part]
            else:
                break
        return node

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of a character of a scalar's text."""
        if self.style in ("|", ">") and isinstance(self.value, str):
            before = self.value[:offset]
            return self.line + 1 + before.count("\n"), offset - (before.rfind("\n") + 1) + 1
        return self.line, self.column + offset + (1 if self.style in ("'", '"') else 0)


class _Refused(Exception):
    def __init__(self, message: str, mark: Any) -> None:
        super().__init__(message)
        self.mark = mark


def parse_documents(text: str, file: str) -> tuple[list[Node], list[Problem]]:
    """All documents of a file, or the problems that keep it from being read."""
    if "\0" in text:
        return [], [Problem(file, 1, 1, "this is no text file")]
    documents: list[Node] = []
    problems: list[Problem] = []
    if file.endswith(".json"):
        text = _PAIR.sub(_joined, text)
    try:
        roots = [root for root in yaml.compose_all(text, Loader=_Loader) if root is not None and not _empty(root)]
        documents.extend(_convert(root, [0], 0, problems, file) for root in roots)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problems.append(Problem(file, line, column, _explain(error, text, line)))
    except yaml.YAMLError as error:
        problems.append(Problem(file, 1, 1, f"not YAML: {str(error).splitlines()[0]}"))
    except _Refused as error:
        problems.append(Problem(file, error.mark.line + 1, error.mark.column + 1, str(error)))
    except RecursionError:
        problems.append(Problem(file, 1, 1, f"nested more than {MAX_DEPTH} deep"))
    return ([] if problems else documents), problems


def _joined(match: re.Match[str]) -> str:
    """JSON writes a character beyond U+FFFF as two escapes, which YAML does not know."""
    high, low = int(match[2], 16), int(match[3], 16)
    return match[1] + chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))


def _empty(root: yaml.Node) -> bool:
    return isinstance(root, yaml.ScalarNode) and root.value == "" and not root.style


def _explain(error: yaml.MarkedYAMLError, text: str, line: int) -> str:
    lines = text.splitlines()
    source = lines[line - 1] if 0 < line <= len(lines) else ""
    context = error.context_mark
    if context is not None and context.line < len(lines) and "{{" not in source:
        source += lines[context.line]
    message = str(error.problem or error.context or "not YAML")
    if "\t" in source[: len(source) - len(source.lstrip())] or "'\\t'" in message:
        return "a tab indents this line; YAML wants spaces"
    if "{{" in source:
        return f'{message}; quote the whole value: "${{{{ … }}}}"'
    if re.search(r":\s*\*", source) or "alias" in message:
        return f'{message}; quote a value that begins with *, such as "*/5 * * * *"'
    if re.search(r":\s*[\"'].*[\"'].+", source):
        return f"{message}; a value that begins with a quote must be quoted whole"
    if "mapping values are not allowed" in message:
        return f'{message}; quote a value that has ": " in it'
    return message


def _convert(node: yaml.Node, count: list[int], depth: int, problems: list[Problem], file: str) -> Node:
    count[0] += 1
    mark = node.start_mark
    if count[0] > MAX_NODES:
        raise _Refused(f"more than {MAX_NODES:,} values (aliases count each time)", mark)
    if depth > MAX_DEPTH:
        raise _Refused(f"nested more than {MAX_DEPTH} deep", mark)
    line, column = mark.line + 1, mark.column + 1
    if isinstance(node, yaml.ScalarNode):
        if node.tag not in ("tag:yaml.org,2002:str", "!"):
            raise _Refused(f"the tag {node.tag} is not used here", mark)
        return Node("scalar", line, column, _scalar(node, mark), node.style or None)
    if isinstance(node, yaml.SequenceNode):
        if node.tag != "tag:yaml.org,2002:seq":
            raise _Refused(f"the tag {node.tag} is not used here", mark)
        result = Node("list", line, column)
        result.items = [_convert(item, count, depth + 1, problems, file) for item in node.value]
        return result
    if node.tag != "tag:yaml.org,2002:map":
        raise _Refused(f"the tag {node.tag} is not used here", mark)
    result = Node("map", line, column)
    for key_node, value_node in node.value:
        key_mark = key_node.start_mark
        if not isinstance(key_node, yaml.ScalarNode):
            hint = "; an unquoted {{ … }} reads as this: an expression is written ${{ … }}"
            raise _Refused(f"a key is a single word{hint}", key_mark)
        if key_node.value == "<<" and not key_node.style:
            raise _Refused("<< is not YAML 1.2; write the keys out", key_mark)
        key = Node("scalar", key_mark.line + 1, key_mark.column + 1, key_node.value, key_node.style or None)
        name = str(key_node.value)
        if name in result.entries and _resolved(result.entries[name][0]) != _resolved(key):
            name = f'"{name}"'  # the cases of a switch tell 1 from "1"
        if name in result.entries:
            first = result.entries[name][0]
            problems.append(
                Problem(file, key.line, key.column, f"{name} is given twice; the first is on line {first.line}")
            )
            continue
        result.entries[name] = (key, _convert(value_node, count, depth + 1, problems, file))
    return result


def _resolved(key: Node) -> str:
    """The JSON kind of a key as it is written."""
    if key.style is not None:
        return "string"
    return "word" if key.value in _WORDS else "number" if _FLOAT.fullmatch(str(key.value)) else "string"


def _scalar(node: yaml.ScalarNode, mark: Any) -> Any:
    text: str = node.value
    if node.style or node.tag == "!":
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        if len(text) > 4000:
            raise _Refused("a number of more than 4,000 digits", mark)
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEXADECIMAL.fullmatch(text):
        return int(text[2:], 16)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise _Refused(f"{text} is too large a number", mark)
        return value
    if _REFUSED.fullmatch(text):
        raise _Refused(f"{text} is no JSON number", mark)
    return text
