"""How options are read: flags, variables and the file give texts, and one reading makes values of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from flows.nodes import Node, parse_documents
from flows.problems import suggest
from reactor.contracts.errors import ConfigError
from reactor.contracts.text import not_utf8, shown, without_bom
from reactor.kit.durations import DurationError, parse_duration, parse_size

_WHOLE = re.compile(r"[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?")
OTHER_VARIABLES = (
    "REACTOR_CONFIG", "REACTOR_SERVER", "REACTOR_DATA", "REACTOR_SERVER_CA", "REACTOR_SERVER_CERT", "REACTOR_SERVER_KEY"
)  # fmt: skip
OTHER_PREFIXES = ("REACTOR_SECRET_", "REACTOR_PLUGIN_", "REACTOR_TEST_")
"""Variables that belong to secrets, to plugins' programs and to the project's tests."""


class Option(msgspec.Struct, frozen=True):
    """One option. `kind` is text, list, duration, size, whole or choice. `zero` says what 0 means, where 0 may be."""

    name: str
    kind: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    secret: bool = False
    zero: str | None = None

    @property
    def variable(self) -> str:
        return f"REACTOR_{self.name.upper()}"

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


class Given(msgspec.Struct, frozen=True):
    """What one source says of an option; a list for the options that take several values."""

    value: str | list[str] | None
    origin: str
    """`flag`, a variable's name, the file's name or `default`."""


def from_flag(option: Option, value: str | list[str]) -> Given:
    given = Given(value, "flag")
    for one in value if isinstance(value, list) else [value]:
        if not one.strip():
            raise ConfigError(f"{_where(option, given)} has no value")
    return given


def from_variable(option: Option, value: str) -> Given:
    """A list's values stand between commas."""
    if option.kind == "list":
        return Given([part.strip() for part in value.split(",") if part.strip()], option.variable)
    return Given(value, option.variable)


def convert(option: Option, given: Given) -> Any:
    """The value, whatever the source. Raises ConfigError that names source and option."""
    value = given.value
    if value is None or isinstance(value, list):
        return value
    where = _where(option, given)
    text = value.strip() if option.kind != "text" else value
    try:
        if option.kind == "duration":
            number: float = _duration(text)
        elif option.kind == "size":
            number = parse_size(text)
        elif option.kind == "whole":
            if not _WHOLE.fullmatch(text):
                raise DurationError(f"{text!r} is not a whole number, such as 1000")
            number = int(text)
        else:
            if option.choices and text not in option.choices:
                raise ConfigError(f"{where}: it must be {_one_of(option.choices)}, not {text!r}")
            return text
    except DurationError as error:
        raise ConfigError(f"{where}: {error}") from None
    if number <= 0 and option.zero is None:
        raise ConfigError(f"{where}: it must be more than 0, not {text!r}")
    return number


def _duration(text: str) -> float:
    if text.startswith("-"):
        raise DurationError(f"it must be more than 0, not {text!r}")
    if _NUMBER.fullmatch(text) and text != "0":
        raise DurationError(f"{text!r} has no unit; write {text}s, {text}m, {text}h or {text}d")
    return 0.0 if text == "0" else parse_duration(text)


def _one_of(choices: Iterable[str]) -> str:
    names = list(choices)
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _where(option: Option, given: Given) -> str:
    if given.origin == "flag":
        return option.flag
    if given.origin == option.variable or given.origin == "default":
        return option.variable
    return f"{given.origin}: {option.name}"


def read_file(name: str | None, options: Iterable[Option]) -> dict[str, Given]:
    """The options of a configuration file (`reactor.yaml` where none is named). Raises ConfigError: one line with the
    file and the place."""
    path = Path(name or "reactor.yaml")
    if not path.exists():
        if name:
            raise ConfigError(f"the configuration file {shown(name)} does not exist")
        return {}
    try:
        data = without_bom(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    bad = not_utf8(data)
    if bad:
        raise ConfigError(f"{path} cannot be read: {bad}")
    documents, problems = parse_documents(data.decode(), str(path))
    if problems:
        raise ConfigError(str(problems[0]))
    if not documents:
        return {}
    if len(documents) > 1 or documents[0].kind != "map":
        raise ConfigError(f"{path} must be one map of options, such as `listen: 127.0.0.1:8420`")
    known = {option.name: option for option in options}
    found: dict[str, Given] = {}
    for written, (key, node) in documents[0].entries.items():
        word = written.replace("-", "_")
        place = f"{path}:{key.line}:{key.column}"
        option = known.get(word)
        if option is None:
            raise ConfigError(f"{place}: unknown option {written!r}{suggest(word, known)}")
        if option.secret:
            raise ConfigError(f"{place}: a token does not belong into a file; set {option.variable}")
        if word in found:
            raise ConfigError(f"{place}: duplicate key {written!r}")
        found[word] = _from_node(option, node, str(path))
    return found


def _from_node(option: Option, node: Node, file: str) -> Given:
    where = f"{file}:{node.line}: {option.name}"
    if option.kind == "list":
        items = node.items if node.kind == "list" else [node]
        return Given([_scalar(item, f"{where}[{place}]" if node.kind == "list" else where)
                      for place, item in enumerate(items)], file)  # fmt: skip
    return Given(_scalar(node, where), file)


def _scalar(node: Node, where: str) -> str:
    """A scalar as the text that a flag would have."""
    value = node.value
    if node.kind != "scalar":
        raise ConfigError(f"{where} must be a single value, not a {node.kind}")
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ConfigError(f"{where} has no value; give it one, or remove it")
    if isinstance(value, bool):
        raise ConfigError(f"{where} must not be {str(value).lower()}")
    return str(value)


def token(text: str | None, name: str) -> str | None:
    """A token from a variable, without blanks, line ends and a byte order mark around it. Raises ConfigError that
    names the variable and never shows the token."""
    if text is None:
        return None
    value = text.strip().strip("\ufeff").strip()
    if not value:
        return None
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigError(f"{name} must consist of printable ASCII characters without blanks")
    return value


def unknown_variables(environ: Mapping[str, str], options: Iterable[Option]) -> list[str]:
    """A warning for each `REACTOR_…` variable that means nothing."""
    known = {option.variable for option in options} | set(OTHER_VARIABLES)
    return [
        f"the variable {shown(name)} means nothing to reactor{suggest(name, known)}"
        for name in sorted(environ)
        if name.startswith("REACTOR_") and name not in known and not name.startswith(OTHER_PREFIXES)
    ]
