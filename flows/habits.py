"""Words that people know from other tools, and what they are called here."""

from __future__ import annotations

import re
from collections.abc import Mapping

from flows.nodes import Node

_WHEN = "write `when`, a list of triggers, such as `when: [{http: POST /order}]`"
_CRON = 'write `when: [{cron: "0 9 * * *"}]` or `when: [{every: 5m}]`'
_DO = "write `do`, a list of steps"
FLOW = {
    **dict.fromkeys(("on", "trigger", "triggers", "source", "sources", "start", "event", "events"), _WHEN),
    **dict.fromkeys(("schedule", "schedules", "cron", "every", "interval"), _CRON),
    **dict.fromkeys(("steps", "jobs", "tasks", "actions", "stages", "pipeline", "then", "run", "script"), _DO),
    **dict.fromkeys(("webhook", "webhooks", "http"), "write `when: [{http: POST /order}]`"),
    **dict.fromkeys(("name", "id", "title"), "write `flow`, the name"),
    **dict.fromkeys(("if", "condition", "conditions", "filter", "where"), "write `only_if`, an expression"),
    **dict.fromkeys(("inputs", "input", "params", "parameters"), "write `when: [{manual: {inputs: {…}}}]`"),
    **dict.fromkeys(("env", "environment"), "expressions read `env.NAME` of what the daemon gets by --env NAME"),
    **dict.fromkeys(("variables", "with", "set"), "write `vars`"),
    **dict.fromkeys(("catch", "rescue", "on_failure", "onError"), "write `on_error`, a list of steps"),
    **dict.fromkeys(("always", "ensure", "cleanup"), "write `finally`, a list of steps"),
    **dict.fromkeys(("return", "result", "outputs"), "write `output`, a value"),
}  # fmt: skip
TRIGGERS = {
    **dict.fromkeys(
        ("webhook", "hook", "http_request", "rest", "post", "get", "api"), "write `http: POST /order`"
    ),
    **dict.fromkeys(("schedule", "scheduled", "timer", "crontab"), 'write `cron: "0 9 * * *"` or `every: 5m`'),
    **dict.fromkeys(("interval",), "write `every: 5m`"),
    **dict.fromkeys(("file", "watch", "folder", "directory"), 'write `files: "inbox/*.csv"`'),
    **dict.fromkeys(("workflow_dispatch", "button", "workflow_call"), "write `manual`"),
    **dict.fromkeys(("push", "pull_request", "github"), "write `http: {path: /github, verify: {github: secret_name}}`"),
    **dict.fromkeys(("rabbitmq", "rabbit"), "write `amqp`"),
    **dict.fromkeys(("postgresql", "cdc"), "write `postgres` or `mysql`"),
    **dict.fromkeys(("message", "on"), "write `event: type`"),
}  # fmt: skip
STEPS = {
    **dict.fromkeys(("uses", "action", "task", "plugin"), "write `call: action` with `with:`"),
    **dict.fromkeys(
        ("shell", "command", "cmd", "exec", "bash", "script"), "write `call: shell.run` with `with: {argv: [program]}`"
    ),
    **dict.fromkeys(("http", "request", "get", "post", "fetch"), "write `call: http.get` with `with: {url: …}`"),
    **dict.fromkeys(("log", "print", "echo", "debug"), "write `call: log` with `with: {message: …}`"),
    **dict.fromkeys(("sleep", "delay", "pause"), "write `wait: 5m`"),
    **dict.fromkeys(("for", "loop", "each", "for_each", "with_items", "map"), "write `foreach: list` with `do`"),
    **dict.fromkeys(("when", "condition", "case", "match", "choice"), "write `if` and `then`, or `switch` and `cases`"),
    **dict.fromkeys(("steps", "do", "block", "group"), "write `try: [steps]`, or the steps themselves"),
    **dict.fromkeys(("branches", "concurrent"), "write `parallel: {a: [steps], b: [steps]}`"),
    **dict.fromkeys(("raise", "throw", "error", "assert"), "write `fail: message`"),
    **dict.fromkeys(("return", "exit", "end", "break"), "write `stop: success`"),
    **dict.fromkeys(("var", "vars", "let", "variables", "assign"), "write `set: {name: value}`"),
    **dict.fromkeys(("publish", "send", "notify"), "write `emit: type`, or `call` a publishing action"),
    **dict.fromkeys(("workflow", "flow", "subflow"), "write `run: flow`"),
}  # fmt: skip
STEP_KEYS = {
    **dict.fromkeys(("when", "condition"), "write `only_if`"),
    **dict.fromkeys(("continue-on-error", "ignore_errors", "catch", "rescue", "on_failure"), "write `on_error: []`"),
    **dict.fromkeys(("retries", "attempts", "retry_count"), "write `retry: {times: 3, wait: 1s..1m}`"),
    **dict.fromkeys(("args", "params", "parameters", "inputs", "options"), "write `with`"),
    **dict.fromkeys(("register", "output", "result"), "write `id`: the result is `steps.<id>`"),
    **dict.fromkeys(("timeout-minutes", "timeout_seconds"), "write `timeout: 5m`"),
}  # fmt: skip
_BRACES = re.compile(
    r"(?<!\$)\{\{-?\s*([A-Za-z_][\w.]*|(?:event|trigger|steps|vars|inputs|run|env|secrets|item|error)\b[^{}]*?)\s*-?\}\}"
)


def habit(table: Mapping[str, str], word: str) -> str | None:
    """What the word is called here."""
    return table.get(word)


def plain_braces(node: Node) -> tuple[str, int] | None:
    """An expression as other tools write it, which is plain text here; and its place in the scalar."""
    if not isinstance(node.value, str) or "{{" not in node.value:
        return None
    found = _BRACES.search(node.value)
    return (found[1], found.start()) if found else None
