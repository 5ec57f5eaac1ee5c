"""Where a path may point: what is decided when a flow is loaded, and what when its step runs."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from flows.loader import load_text
from plugins.actions import email, file
from plugins.actions._paths import locate
from reactor.contracts.action import ActionContext, ActionSettings
from reactor.contracts.errors import StepFailed
from reactor.contracts.event import Event, StoredEvent
from reactor.contracts.facts import Fact
from reactor.contracts.kinds import ActionKind
from reactor.contracts.plan import BOUNDS
from reactor.engine import machine
from reactor.engine.perform import ActionPerformer
from reactor.kit.clock import SystemClock
from tests.flows_help import KINDS

LOADED = [
    ("file.read", "path", "a.txt", True),
    ("file.read", "path", "in/${{ event.name }}", True),
    ("file.read", "path", "x${{ event.name }}", True),
    ("file.read", "path", " ${{ event.name }}", True),
    ("file.read", "path", "${{ event.name }}", False),
    ("file.read", "path", "${{ event.name }}/in", False),
    ("file.read", "path", "${{ vars.a }}${{ event.path }}", False),
    ("file.read", "path", "${{ event.path }}", True),
    ("file.read", "path", "${{event.path}}", True),
    ("file.read", "path", "${{ event['path'] }}", True),
    ("file.read", "path", "${{ event.path }}.done", True),
    ("file.read", "path", "${{ event.path + '.done' }}", False),
    ("file.read", "path", "${{ event.path.upper() }}", False),
    ("file.read", "path", "${{ event.path_bytes }}", False),
    ("file.read", "path", "${{ (event.path) }}", False),
    ("file.read", "path", "${{ default(event.path, 'x') }}", False),
    ("file.read", "path", "${{ 'event.path' }}", False),
    ("file.read", "path", "${{ event.files.doc.path }}", True),
    ("file.read", "path", "${{ event.files['doc'].path }}", True),
    ("file.read", "path", "${{ event.files[0].path + 'x' }}", True),
    ("file.read", "path", "${{ [event.files] }}", False),
    ("file.delete", "path", "${{ event.path }}", True),
    ("file.delete", "path", "${{ event.files.doc.path }}", False),
    ("file.copy", "to", "${{ event.files.doc.path }}", False),
    ("file.move", "to", "${{ event.path }}", True),
    ("http.get", "save_to", "${{ event.name }}", False),
    ("csv.convert", "path", "${{ event.files.doc.path }}", True),
    ("email.send", "subject", "${{ event.name }}", True),
]


@pytest.mark.parametrize("root", [None, "/data"])
@pytest.mark.parametrize(("action", "option", "value", "taken"), LOADED)
def test_when_a_flow_is_loaded(action: str, option: str, value: str, taken: bool, root: str | None) -> None:
    needed = {"file.copy": {"path": "a"}, "file.move": {"path": "a"}, "http.get": {"url": "https://x.example"}}
    more = {"csv.convert": {"to": "b.csv"}, "email.send": {"to": "a@b.example", "text": "x"}}
    arguments = {**needed.get(action, {}), **more.get(action, {}), option: value}
    text = f"flow: f\nwhen: [{{event: x}}]\ndo:\n  - {{call: {action}, with: {json.dumps(arguments)}}}\n"
    (document,) = load_text(text, "/flows/f.yaml", "/flows", _kinds(root))
    said = [one.message for one in document.problems if "begins with an expression" in one.message]
    assert len(said) == (0 if taken or root else 1), document.problems


def _kinds(root: str | None) -> Any:
    return dataclasses.replace(KINDS, file_root=root)


class Read(ActionKind[file.TwoPaths]):
    Options = file.TwoPaths
    path_options = ("path", "to")
    reading_options = ("path",)

    async def run(self, options: file.TwoPaths, context: ActionContext) -> object:
        return [str(locate(context, name, getattr(options, name))) for name in ("path", "to")]


class Attach(ActionKind[email.SendOptions]):
    Options = email.SendOptions
    path_options = email.Send.path_options
    reading_options = email.Send.reading_options

    async def run(self, options: email.SendOptions, context: ActionContext) -> object:
        paths = [one.path or "" for one in options.attach]
        return [str(locate(context, f"attach.{place}.path", path)) for place, path in enumerate(paths)]


class Kinds:
    def names(self) -> list[str]:
        return ["file.copy", "email.send"]

    def get(self, name: str) -> type[ActionKind[Any]]:
        kinds: dict[str, type[ActionKind[Any]]] = {"file.copy": Read, "email.send": Attach}
        return kinds[name]


class Silent:
    def observe(self, fact: Fact) -> None:
        return None


async def perform(action: str, arguments: dict[str, Any], event: Event, root: str | None = None) -> Any:
    """What the step of a flow that lies in /flows finds."""
    text = f"flow: f\nwhen: [{{event: x}}]\ndo:\n  - {{call: {action}, with: {json.dumps(arguments)}}}\n"
    (document,) = load_text(text, "/flows/f.yaml", "/flows", _kinds("/"))
    assert document.plan is not None, document.problems
    stored = StoredEvent(id="evt_1", event=event, at=1000.0, origin="event")
    run = machine.begin(document.plan, stored, "run_1", "event", 1000.0, {}, BOUNDS)
    while machine.walk(run):
        pass
    (command,) = machine.commands(run)
    settings = ActionSettings(file_root=root, payloads="/data/payloads")
    performer = ActionPerformer(Kinds(), SystemClock(), lambda name: name, settings, Silent())
    return await performer.perform(run, command.frame, None)


def watched(path: str = "/in/a.txt", type: str = "file.created", source: str = "/in", **more: Any) -> Event:
    return Event(type=type, source=source, fields={"path": path, **more})


def uploaded(path: str, type: str = "http.request") -> Event:
    return Event(
        type=type, source="/hooks/x", fields={"path": "/x", "files": {"doc": {"path": path}}}, data={"n": path}
    )


GOOD = "/data/payloads/ab/cd"
RUN: list[tuple[Event, str, str | None, str | None]] = [
    (watched(), "${{ event.path }}", None, "/in/a.txt"),
    (watched(), "${{event['path']}}", None, "/in/a.txt"),
    (watched(), "${{ event.path if event.path else 'b' }}", None, "/in/a.txt"),
    (watched(), "${{ event.path and 'b' or 'c' }}", None, None),
    (watched(path_bytes="L2lu"), "${{ event.path_bytes }}", None, None),
    (watched(), "${{ event.path }}.done", None, "/in/a.txt.done"),
    (watched(), "${{ event.path + '.done' }}", None, "/in/a.txt.done"),
    (watched(), "${{ event.path.replace('.txt', '') }}", None, "/in/a"),
    (watched(), "${{ event.path }}/../../etc/passwd", None, None),
    (watched("/in/sub/a.txt"), "${{ event.path }}/../../b", None, "/in/b"),
    (watched("/out/a.txt"), "${{ event.path }}", None, "/out/a.txt"),
    (watched("/out/a.txt"), "${{ event.path }}x", None, "/out/a.txtx"),
    (watched("/out/a.txt"), "${{ event.path }}/../b", None, "/out/b"),
    (watched("/out/a.txt"), "${{ event.path }}/../../b", None, None),
    (watched(type="other"), "${{ event.path }}", None, None),
    (watched(type="other"), "${{ event.path }}", "/in", "/in/a.txt"),
    (watched(type="other"), "${{ event.path }}", "/elsewhere", None),
    (watched(), "${{ (event.path) }}", None, None),
    (watched(), "${{ default(event.path, 'x') }}", None, None),
    (watched(name="b"), "/in/${{ event.name }}", None, "/in/b"),
    (watched(name="../b"), "/in/${{ event.name }}", None, None),
    (watched(name="b"), "in/${{ event.name }}", None, "/flows/in/b"),
    (watched(name="b"), "${{ event.name }}", None, None),
    (watched(name="b"), "${{ event.name }}", "/flows", "/flows/b"),
    (watched(name="/etc/x"), "${{ event.name }}", "/flows", None),
    (uploaded(GOOD), "${{ event.files.doc.path }}", None, GOOD),
    (uploaded(GOOD), "${{ event.files['doc'].path }}", None, GOOD),
    (uploaded("/etc/passwd"), "${{ event.files.doc.path }}", None, None),
    (uploaded(GOOD, "other"), "${{ event.files.doc.path }}", None, None),
    (uploaded(GOOD, "other"), "${{ event.files.doc.path }}", "/data", GOOD),
    (uploaded(GOOD), "${{ event.data.n }}", None, None),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("event", "value", "root", "found"), RUN)
async def test_when_a_step_runs(event: Event, value: str, root: str | None, found: str | None) -> None:
    if found is not None:
        assert await perform("file.copy", {"path": value, "to": "x"}, event, root) == [found, "/flows/x"]
        return
    with pytest.raises(StepFailed) as caught:
        await perform("file.copy", {"path": value, "to": "x"}, event, root)
    assert caught.value.type == "file.path" and not caught.value.retryable


@pytest.mark.anyio
async def test_what_was_uploaded_is_only_read() -> None:
    with pytest.raises(StepFailed, match="all expression"):
        await perform("file.copy", {"path": "x", "to": "${{ event.files.doc.path }}"}, uploaded(GOOD))


@pytest.mark.anyio
async def test_paths_inside_of_an_option() -> None:
    sent = {"to": "a@b.example", "subject": "s", "text": "t"}
    both = [{"path": "/in/x"}, {"path": "${{ event.files.doc.path }}"}]
    assert await perform("email.send", {**sent, "attach": both}, uploaded(GOOD)) == ["/in/x", GOOD]
    with pytest.raises(StepFailed, match="all expression"):
        await perform("email.send", {**sent, "attach": [{"path": "${{ event.data.n }}"}]}, uploaded(GOOD))
    for attach in ("${{ [{'path': event.data.n}] }}", ["${{ {'path': event.data.n} }}"]):
        with pytest.raises(StepFailed, match="all expression"):
            await perform("email.send", {**sent, "attach": attach}, uploaded("/etc/passwd"))
        assert await perform("email.send", {**sent, "attach": attach}, uploaded("/etc/x"), "/etc") == ["/etc/x"]
    with pytest.raises(StepFailed, match="leaves"):
        await perform("email.send", {**sent, "attach": [{"path": "/in/${{ event.data.n }}"}]}, uploaded("../x"))
