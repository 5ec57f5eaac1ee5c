"""From the text of an expression to a checked syntax tree. Columns are kept."""

from __future__ import annotations

import ast
import keyword
import re
import unicodedata
import warnings

from flows.expressions import hints
from reactor.contracts.text import is_text

MAX_SOURCE = 4096
MAX_NODES = 256
MAX_DEPTH = 32

_KEYWORD_AFTER_DOT = re.compile(r"(\.\s*)(" + "|".join(sorted(keyword.kwlist, key=len, reverse=True)) + r")(?!\w)")
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_HYPHENATED = re.compile(r"\.\s*([A-Za-z_]\w*(?:-\w+)+)")
_LETTERS = "zqxjkvwy"


class ExpressionSyntax(Exception):
    """The source is no expression of ours. `column` counts characters from 0; `near` proposes a fix."""

    def __init__(self, message: str, column: int = 0) -> None:
        super().__init__(message)
        self.column = column


class Parsed:
    """A tree and the map from stand-in names back to the keywords they stand for."""

    def __init__(self, tree: ast.expr, source: str, offset: int, stand_ins: dict[str, str]) -> None:
        self.tree = tree
        self.source = source
        self.offset = offset
        self.stand_ins = stand_ins

    def name(self, written: str) -> str:
        return self.stand_ins.get(written, written)

    def constant(self, value: str) -> str:
        for stand_in, word in self.stand_ins.items():
            value = value.replace(stand_in, word)
        if not is_text(value):  # JSON writes a character above U+FFFF as a pair of escapes
            value = value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        return value

    def column(self, node: ast.AST) -> int:
        return self.offset + (node.col_offset if isinstance(node, (ast.expr, ast.keyword, ast.arg)) else 0)


def parse(source: str) -> Parsed:
    """Parses one expression. Raises ExpressionSyntax."""
    if len(source.encode("utf-8", "surrogatepass")) > MAX_SOURCE:
        raise ExpressionSyntax(f"longer than {MAX_SOURCE // 1024} KiB")
    if "\0" in source or any("\ud800" <= c <= "\udfff" for c in source):
        raise ExpressionSyntax("holds a character that no expression can have")
    flat = source.replace("\r", " ").replace("\n", " ").replace("\t", " ").replace("\f", " ")
    body = flat.lstrip()
    offset = len(flat) - len(body)
    body = body.rstrip()
    if not body:
        raise ExpressionSyntax("an expression is missing")
    _check_brackets(body, offset)
    rewritten, stand_ins = _rewrite_keywords(body)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(rewritten, mode="eval").body
    except SyntaxError as error:
        raise ExpressionSyntax(_explain(body, error), offset + max((error.offset or 1) - 1, 0)) from None
    except (RecursionError, MemoryError, ValueError, OverflowError):
        raise ExpressionSyntax("too deeply nested or malformed", offset) from None
    parsed = Parsed(tree, source, offset, stand_ins)
    _check_size(parsed)
    _check_names(body, parsed)
    return parsed


def _check_brackets(body: str, offset: int) -> None:
    depth = 0
    for column, character in enumerate(body):
        if character in "([{":
            depth += 1
            if depth > MAX_DEPTH * 2:
                raise ExpressionSyntax(f"nested more than {MAX_DEPTH} deep", offset + column)
        elif character in ")]}":
            depth -= 1


def _rewrite_keywords(body: str) -> tuple[str, dict[str, str]]:
    stand_ins: dict[str, str] = {}

    def replace(match: re.Match[str]) -> str:
        word = match.group(2)
        for stand_in, known in stand_ins.items():
            if known == word:
                return match.group(1) + stand_in
        stand_in = _unused(len(word), body, stand_ins)
        stand_ins[stand_in] = word
        return match.group(1) + stand_in

    return _KEYWORD_AFTER_DOT.sub(replace, body), stand_ins


def _unused(length: int, body: str, taken: dict[str, str]) -> str:
    number = 0
    while True:
        digits, rest = [], number
        for _ in range(length):
            digits.append(_LETTERS[rest % len(_LETTERS)])
            rest //= len(_LETTERS)
        candidate = "".join(digits)
        if candidate not in body and not any(candidate in other or other in candidate for other in taken):
            return candidate
        number += 1
        if number > 4096:
            raise ExpressionSyntax('too many words after dots that are keywords; write them as ["…"]')


def _explain(body: str, error: SyntaxError) -> str:
    hint = hints.syntax(body)
    if hint is not None:
        return hint
    if re.search(r"(?<![=!<>])=(?!=)", body) and "=" in (error.text or body):
        return f"{error.msg}; compare with =="
    return str(error.msg).replace("Perhaps you forgot a comma?", "perhaps a comma is missing")


def _check_size(parsed: Parsed) -> None:
    count = 0
    stack: list[tuple[ast.AST, int]] = [(parsed.tree, 1)]
    while stack:
        node, depth = stack.pop()
        if isinstance(node, (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)):
            continue
        count += 1
        if count > MAX_NODES:
            raise ExpressionSyntax(f"more than {MAX_NODES} parts; compute some of them in a `set` step first")
        if depth > MAX_DEPTH:
            raise ExpressionSyntax(f"nested more than {MAX_DEPTH} deep", parsed.column(node))
        stack.extend((child, depth + 1) for child in ast.iter_child_nodes(node))


def _check_names(body: str, parsed: Parsed) -> None:
    if body.isascii():
        return
    used = {_name_of(node) for node in ast.walk(parsed.tree)}
    for match in _IDENTIFIER.finditer(body):
        word = match.group()
        normal = unicodedata.normalize("NFKC", word)
        if normal != word and normal in used:
            raise ExpressionSyntax(f"the name {word} has a look-alike spelling {normal}", match.start())


def _name_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.arg if isinstance(node, (ast.keyword, ast.arg)) else None


def hyphen_hint(source: str, name: str) -> str:
    """The hint for `steps.my-step`, which reads as a subtraction."""
    for match in _HYPHENATED.finditer(source):
        if match.group(1).split("-")[0] == name or match.group(1).split("-")[1] == name:
            return f'; a name with a hyphen is read as ["{match.group(1)}"]'
    return ""
