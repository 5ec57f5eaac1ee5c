"""The published JSON Schema beside the loader: it takes what the loader takes, and refuses what it can."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from flows.language_schema import language_schema
from flows.loader import flow_files
from flows.nodes import parse_documents
from tests.flows_help import KINDS, documents
from tests.test_docs import ALL, ROOT

SCHEMA = language_schema(KINDS.actions, KINDS.triggers)
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)


def errors(document: Any) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(document)]


def plain(text: str) -> list[Any]:
    found, problems = parse_documents(text, "flow.yaml")
    assert not problems, problems
    return [document.plain() for document in found]


@pytest.mark.parametrize("path", flow_files(ROOT / "examples"), ids=lambda path: path.name)
def test_examples_fit(path: Path) -> None:
    for document in plain(path.read_text("utf-8")):
        if isinstance(document, dict) and "do" in document:
            assert not errors(document), path


@pytest.mark.parametrize("page", ALL, ids=lambda page: f"{page.parent.parent.name}-{page.stem}")
def test_blocks_of_the_docs_fit(page: Path) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        for document in plain(block):
            assert not errors(document), block


@pytest.mark.parametrize("name", [*KINDS.actions.names(), *KINDS.triggers.names()])
def test_examples_of_kinds_fit(name: str) -> None:
    if name in KINDS.actions.names():
        (step,) = plain(KINDS.actions.get(name).example)
        document = {"do": [step]}
    else:
        (entry,) = plain(KINDS.triggers.get(name).example)
        document = {"when": [entry], "do": []}
    assert not errors(document), document


GOOD = [
    "do: [{wait: 5}, {wait: 1h30m}, {wait: PT5M}, {wait: P1D}, {wait: '${{ vars.a }}'}, {wait: {at: event.time}}]",
    "timeout: 90\ndo: [{call: log, with: {message: 1}, timeout: 1.5, retry: {times: 2, wait: 1s..1m}}]",
    "do: [{set: {a: 1}, retry: {times: 2, wait: [1s, 5], if: 'true', then: pause}}]",
    "do: [{parallel: {a: [], b: {needs: a, do: []}}}, {parallel: {a: [], b: []}, join: 2}, {parallel: {a: []}, join: settled}]",
    "do: [{parallel: {a: []}, join: 'branches.a.status == \"failed\"'}]",
    "when: manual\ndo: []",
    "when: [{cron: '@daily'}, {cron: '*/5 0 9-17 * * MON-FRI'}, {cron: {at: '0 9 * * 1,2', within: 2d}}, {every: 5m}]\ndo: []",
    "do: [{wait: 1h, timeout: 1s, on_timeout: {do: [{set: {a: 1}}]}}, {wait: 1h, timeout: 1s, on_timeout: {late: true}}]",
    "do: [{wait: 1h, timeout: 1s, on_timeout: [1, {a: 2}]}, {wait: 1h, timeout: 1s, on_timeout: null}]",
    "do: [{call: http.get, with: {url: x, timeout: '${{ vars.t }}'}, on_error: [{catch: http.*, then: fail}]}]",
    "do: [{foreach: {a: 1}, do: []}, {foreach: [1], as: x, at_once: 3, do: []}, {foreach: event.data, do: []}]",
]
BAD = [
    "timeout: soon\ndo: []",
    "do: [{set: {a: 1}, timeout: 5 minutes}]",
    "do: [{wait: tomorrow}]",
    "do: [{wait: -1}]",
    "do: [{set: {a: 1}, retry: {times: 1, wait: 1s..}}]",
    "dedupe: {key: a, for: forever}\ndo: []",
    "when: [{cron: '* * *'}]\ndo: []",
    "when: [{cron: {at: 'x y'}}]\ndo: []",
    "when: [{cron: 5}]\ndo: []",
    "when: [{every: often}]\ndo: []",
    "when: [{files: {path: a, settle: long}}]\ndo: []",
    "when: [{http: order}]\ndo: []",
    "when: [{webhook: /x}]\ndo: []",
    "when: [http]\ndo: []",
    "do: [{call: nope}]",
    "do: [{call: http.get}]",
    "do: [{call: log, with: {message: 1, level: loud}}]",
    "do: [{foreach: [1]}]",
    "do: [{while: 'true', do: []}]",
    "do: [{if: 'true'}]",
    "do: [{switch: a}]",
    "do: [{parallel: {a: []}, join: 0}]",
    "do: [{parallel: {a: []}, join: most}]",
    "do: [{parallel: {}}]",
    "when: [{mqtt: {connection: x, topic: y, qos: 7}}]\ndo: []",
    "do: [{call: mqtt.publish, with: {connection: x, topic: y, qos: 7}}]",
    "do: [{wait: 1h, timeout: 1s, on_timeout: [{set: {a: 1}}]}]",
    "do: [{wait: 1h, timeout: 1s, on_timeout: {do: later}}]",
    "do: [{set: {a: 1}, repeat: safe}]",
    "only_if: null\ndo: []",
    "on: push\ndo: []",
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_what_the_loader_takes_fits(text: str) -> None:
    (document,) = plain(text)
    assert not errors(document)
    assert all(one.severity == "warning" for d in documents(text) for one in d.problems if "vars" not in one.message)


@pytest.mark.parametrize("text", BAD)
def test_what_the_loader_refuses_does_not_fit(text: str) -> None:
    (document,) = plain(text)
    assert errors(document)
    action_checks_it = "mqtt.publish" in text
    assert action_checks_it or any(one.severity == "error" for d in documents(text) for one in d.problems)


def test_the_command_prints_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reactor", "schema"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == json.loads(json.dumps(SCHEMA))
