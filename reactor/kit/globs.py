"""Globs over paths: `*` and `?` stay within a folder, `**` crosses folders."""

from __future__ import annotations

import re
from collections.abc import Callable


def literal_root(pattern: str) -> str:
    """The deepest folder in front of the first part with a wildcard (of a plain path, its folder)."""
    parts = pattern.split("/")
    kept = []
    for part in parts[:-1]:
        if any(character in part for character in "*?["):
            break
        kept.append(part)
    return "/".join(kept) or "/"


def compile_glob(pattern: str) -> Callable[[str], bool]:
    """A test for paths. Linear: parts are translated to a regular expression without nested repetition."""
    source = ""
    place = 0
    while place < len(pattern):
        if pattern.startswith("**/", place):
            source += "(?:[^/]+/)*"
            place += 3
        elif pattern.startswith("**", place):
            source += ".*"
            place += 2
        elif pattern[place] == "*":
            source += "[^/]*"
            place += 1
        elif pattern[place] == "?":
            source += "[^/]"
            place += 1
        elif pattern[place] == "[" and (end := pattern.find("]", place + 2)) > 0:
            inner = pattern[place + 1 : end].replace("\\", "\\\\")
            source += "[^" + inner[1:] + "]" if inner[:1] == "!" else "[" + inner + "]"
            place = end + 1
        else:
            source += re.escape(pattern[place])
            place += 1
    matcher = re.compile(source, re.DOTALL)
    return lambda path: matcher.fullmatch(path) is not None
