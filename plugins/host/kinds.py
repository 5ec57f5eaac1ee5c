"""What a plugin brings, as the actions and triggers that flows name: in the same registry as our own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream

from plugins.host.link import Call, Listening
from plugins.host.manifest import ActionSpec, TriggerSpec
from plugins.host.options import given_options, options_struct
from plugins.host.plugin import Plugin
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.contracts.event import Event
from reactor.contracts.kinds import ActionKind, AnyAction, AnyTrigger, TriggerKind
from reactor.contracts.plan import Validator
from reactor.contracts.trigger import Receipt, TriggerContext
from reactor.kit.durations import parse_duration

CompileSchema = Callable[[Any], Validator]
"""Compiles a JSON Schema. Raises ValueError."""
Sent = tuple[Awaitable[Receipt], int]
"""The receipt of an event, and its number."""
EVENT_KEYS = frozenset({"type", "data", "key", "subject", "time", "fields", "source"})
OPENING = frozenset({"patternProperties", "allOf", "anyOf", "oneOf", "if", "$ref", "$dynamicRef"})
"""Keywords of a JSON Schema by which a value may have other properties."""
OWN_FIELDS = frozenset({"id", "type", "source", "time", "subject", "data", "extensions"})


def action_class(plugin: Plugin, action: str, spec: ActionSpec, compile_schema: CompileSchema) -> type[AnyAction]:
    """An action whose calls go to the plugin."""
    full = f"{plugin.name}.{action}"
    validator = compile_schema(spec.options) if spec.options else None
    timeout = parse_duration(plugin.manifest.timeout)
    fields = result_fields(spec.result)

    class PluginAction(ActionKind[msgspec.Struct]):
        name = full
        summary = spec.summary
        example = _example(f"call: {full}", spec.options)
        Options = options_struct(full.replace(".", "_"), spec.options)
        repeat = spec.repeat
        result_fields = fields

        async def run(self, options: msgspec.Struct, context: ActionContext) -> object:
            given = given_options(options)
            problems = validator.problems(given) if validator is not None else []
            if problems:
                message = f"the options of {full} do not fit: {'; '.join(problems[:5])}"
                raise StepFailed("expression", message, retryable=False)
            told = {
                "run": context.run, "flow": context.flow, "step": context.step, "attempt": context.attempt,
                "idempotency_key": context.idempotency_key, "deadline": context.deadline,
            }  # fmt: skip
            try:
                async with plugin.calling() as link:
                    with anyio.fail_after(timeout):
                        return await link.act(Call(action=action, input=given, context=told))
            except TimeoutError:
                message = f"{full} took longer than {timeout:g} s"
                raise StepFailed("plugin.timeout", message, retryable=True) from None

    return PluginAction


def result_fields(schema: dict[str, Any] | bool | None) -> tuple[str, ...] | None:
    """The fields of a result that flows may read; None when its schema leaves that open."""
    if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict) or not schema["properties"]:
        return None
    if schema.get("additionalProperties", False) is not False or OPENING & set(schema):
        return None
    return tuple(schema["properties"])


def trigger_class(plugin: Plugin, trigger: str, spec: TriggerSpec, compile_schema: CompileSchema) -> type[AnyTrigger]:
    """A trigger that the plugin listens for."""
    full = f"{plugin.name}.{trigger}"
    type_ = spec.event_type or full
    validator = compile_schema(spec.options) if spec.options else None

    class PluginTrigger(TriggerKind[msgspec.Struct]):
        name = full
        summary = spec.summary
        example = _example(full, spec.options, trigger=True)
        Options = options_struct(full.replace(".", "_"), spec.options)
        event_type = type_
        identity = spec.identity

        @classmethod
        def problems(cls, options: msgspec.Struct) -> list[tuple[str, str]]:
            return [("", one) for one in validator.problems(given_options(options))] if validator is not None else []

        async def listen(self, ctx: TriggerContext) -> None:
            try:
                link = await plugin.link()
                cursor = (await ctx.cursor()).get("cursor")
                listening = await link.listen(trigger, given_options(self.options), cursor)
            except StepFailed as error:
                raise NotConnected(str(error)) from None
            try:
                async with anyio.create_task_group() as group:
                    sender, receiver = anyio.create_memory_object_stream[Sent](1000)
                    group.start_soon(_acknowledge, listening, receiver)
                    group.start_soon(_until_retired, plugin)
                    await ctx.ready()
                    async for happened in listening.events():
                        event = _event(happened.event, type_, full)
                        cursors = [ctx.at("cursor", happened.cursor)] if happened.cursor is not None else []
                        await sender.send((await ctx.offer(event, cursors=cursors), happened.number))
            except* (NotConnected, StepFailed, ValueError) as errors:
                raise NotConnected(str(errors.exceptions[0])) from None
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(2):
                    await listening.close()

    return PluginTrigger


async def _until_retired(plugin: Plugin) -> None:
    await plugin.retired.wait()
    raise NotConnected("a new version of the plugin takes over")


async def _acknowledge(
    listening: Listening, receiver: MemoryObjectReceiveStream[tuple[Awaitable[Receipt], int]]
) -> None:
    """In order, and only what is durable; what became durable while one was sent goes with the next."""
    durable, news = 0, anyio.Event()

    async def send() -> None:
        sent = 0
        while True:
            if durable == sent:
                await news.wait()
            sent = durable
            await listening.acknowledge(sent)

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        async for receipt, number in receiver:
            await receipt
            durable = number
            news.set()
            news = anyio.Event()


def _event(given: dict[str, object], type: str, source: str) -> Event:
    """Raises ValueError for what is no event."""
    unknown = set(given) - EVENT_KEYS
    if unknown:
        raise ValueError(f"an event has no {sorted(unknown)[0]}; it has {', '.join(sorted(EVENT_KEYS))}")
    fields = given.get("fields") or {}
    if not isinstance(fields, dict) or OWN_FIELDS & set(fields):
        raise ValueError(f"fields of an event are an object without {', '.join(sorted(OWN_FIELDS))}")
    try:
        event = msgspec.convert({"type": type, "source": source, **given, "fields": fields}, Event)
    except msgspec.ValidationError as error:
        raise ValueError(f"that is no event: {error}") from None
    if event.type.startswith("reactor."):
        raise ValueError("types that begin with reactor. are the daemon's own")
    return event


def _named(cls: type, full: str, spec: TriggerSpec, schema: dict[str, Any], more: dict[str, object]) -> type:
    attributes: dict[str, Any] = {
        "name": full, "summary": spec.summary, "docs": spec.docs, "schema": schema,
        "Options": options_struct(full.replace(".", "_"), schema), **more,
    }  # fmt: skip
    for name, value in attributes.items():
        setattr(cls, name, value)
    return cls


def _example(head: str, schema: dict[str, Any], trigger: bool = False) -> str:
    required = ", ".join(f"{name}: …" for name in schema.get("required", ()))
    if trigger:
        return f"{head}: {{{required}}}"
    return f"{head}\nwith: {{{required}}}" if required else head
