"""One reading of options: a flag, a variable and a file give the same value, or the same refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reactor.config import OPTIONS, load, parse_address, url_of
from reactor.contracts.errors import ConfigError

REFUSED = {
    "duration": ["0s", "-1", "-5", "true", "30", "1.5", ".nan", "nan", "soon", "-3d", "1 elephant", "0.0"],
    "size": ["-1", "true", ".nan", "many", "1 elephant"],
    "whole": ["0", "-1", "-5", "true", "1.5", ".nan", "nan", "1e3", "0x10x", "lots"],
    "choice": ["loud", "true", "1"],
}
TAKEN: dict[str, list[tuple[str, Any]]] = {
    "duration": [("30s", 30.0), ("2d", 172800.0), ("PT1H", 3600.0), (" 5m ", 300.0)],
    "size": [("1KiB", 1024), ("2048", 2048), ("1.5GiB", 1610612736)],
    "whole": [("7", 7), (" 12 ", 12)],
    "choice": [("debug", "debug")],
}


def sources(tmp_path: Path, name: str, text: str) -> dict[str, dict[str, Any]]:
    """The arguments of `load` for each source of an option."""
    path = tmp_path / "options.yaml"
    path.write_text(f"{name}: {text}\n", "utf-8")
    return {
        "flag": {"flags": {name: text}, "environ": {}},
        "variable": {"flags": {}, "environ": {f"REACTOR_{name.upper()}": text}},
        "file": {"flags": {"config": str(path)}, "environ": {}},
    }


@pytest.mark.parametrize("option", [one for one in OPTIONS if one.kind in REFUSED], ids=lambda one: one.name)
def test_a_wrong_value_is_refused_by_each_source(tmp_path: Path, option: Any) -> None:
    for text in REFUSED[option.kind]:
        if option.zero and text in ("0s", "0.0"):
            continue
        if option.choices and text in option.choices:
            continue
        for source, arguments in sources(tmp_path, option.name, text).items():
            with pytest.raises(ConfigError) as refused:
                load(**arguments)
            line = str(refused.value)
            names = {"flag": option.flag, "variable": option.variable, "file": "options.yaml"}
            assert names[source] in line and "\n" not in line, (source, text, line)


@pytest.mark.parametrize("option", [one for one in OPTIONS if one.kind in TAKEN], ids=lambda one: one.name)
def test_a_right_value_is_the_same_from_each_source(tmp_path: Path, option: Any) -> None:
    for text, value in TAKEN[option.kind]:
        if option.choices and text not in option.choices:
            continue
        for source, arguments in sources(tmp_path, option.name, text).items():
            assert getattr(load(**arguments), option.name) == value, (source, text)


def test_zero_counts_only_where_it_is_documented(tmp_path: Path) -> None:
    for option in OPTIONS:
        if option.kind in ("duration", "size", "whole"):
            for arguments in sources(tmp_path, option.name, "0").values():
                if option.zero is None:
                    with pytest.raises(ConfigError):
                        load(**arguments)
                else:
                    assert getattr(load(**arguments), option.name) == 0
                    assert f"0: {option.zero}" in option.help


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("flows:", "options.yaml:1: flows has no value"),
        ("flows: ''", "flows has no value"),
        ("flows: [a, null]", "flows[1] has no value"),
        ("flows: {a: b}", "flows must be a single value, not a map"),
        ("data: true", "data must not be true"),
        ("listen: 127.0.0.1:1\nlisten: 127.0.0.1:2", "options.yaml:2:1"),
        ("max-active-runs: 1\nmax_active_runs: 2", "duplicate key 'max_active_runs'"),
        ("lsten: x", "unknown option 'lsten' (did you mean listen?)"),
        ("- a", "must be one map of options"),
        ("just words", "must be one map of options"),
        ("admin_token: secretsecretsecret", "a token does not belong into a file"),
        ("a: b: c", "options.yaml:1"),
        ("\ttab: x", "options.yaml:1"),
        ("data: !!python/object:os.system x", "options.yaml:1"),
    ],
)
def test_a_file_of_options_that_is_wrong_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "options.yaml"
    path.write_text(text + "\n", "utf-8")
    with pytest.raises(ConfigError) as refused:
        load({"config": str(path)}, {})
    line = str(refused.value)
    assert words in line and "\n" not in line and "secretsecret" not in line


@pytest.mark.parametrize("data", [b"", b"# nothing yet\n", b"\xef\xbb\xbf# a byte order mark\n", b"---\n"])
def test_a_file_without_options_is_taken(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "options.yaml"
    path.write_bytes(data)
    assert load({"config": str(path)}, {}) is not None


@pytest.mark.parametrize("make", ["folder", "latin-1"])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, make: str) -> None:
    path = tmp_path / "options.yaml"
    if make == "folder":
        path.mkdir()
    else:
        path.write_bytes("data: caf\u00e9\n".encode("latin-1"))
    with pytest.raises(ConfigError) as refused:
        load({"config": str(path)}, {})
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_a_list_in_a_variable_may_have_blanks() -> None:
    assert load({}, {"REACTOR_FLOWS": "a, b ,,c"}).flows == ("a", "b", "c")
    with pytest.raises(ConfigError):
        load({"flows": [""]}, {})


def test_an_unknown_variable_is_a_warning() -> None:
    environ = {"REACTOR_LISTN": "x", "REACTOR_SECRET_A": "y", "REACTOR_SERVER": "z", "PATH": "/bin"}
    found = load({}, environ).warnings
    assert found == ("the variable REACTOR_LISTN means nothing to reactor (did you mean REACTOR_LISTEN?)",)


@pytest.mark.parametrize("text", ["t0ken-t0ken-t0ken", " t0ken-t0ken-t0ken\r\n", "\ufefft0ken-t0ken-t0ken\n"])
def test_a_token_is_trimmed(text: str) -> None:
    assert load({}, {"REACTOR_ADMIN_TOKEN": text}).admin_token == "t0ken-t0ken-t0ken"


@pytest.mark.parametrize("text", ["tökentökentökentöken", "two words two words", "nul\x01nul\x01nul\x01nul", "short"])
def test_a_token_that_a_header_cannot_carry_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load({}, {"REACTOR_ADMIN_TOKEN": text})
    assert "REACTOR_ADMIN_TOKEN" in str(refused.value) and text not in str(refused.value)


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1:80", "https://127.0.0.1:80"),
        ("[::1]:80", "https://[::1]:80"),
        ("a.example:1", "https://a.example:1"),
    ],
)
def test_the_url_of_an_address(listen: str, url: str) -> None:
    assert url_of("https", *parse_address(listen)) == url
