"""Performs one `call`: renders its options with secrets, lets the action act, keeps secrets out of what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from reactor.contracts.action import ActionContext, ActionSettings, Clients, Memory
from reactor.contracts.clock import Clock
from reactor.contracts.collections import Collections
from reactor.contracts.connection import Lend, Lender
from reactor.contracts.errors import NotConnected, NotReady, StepFailed
from reactor.contracts.kinds import AnyAction
from reactor.contracts.observe import Observer
from reactor.contracts.registry import Registry
from reactor.contracts.tracing import traceparent
from reactor.engine.state import Run, StepFrame
from reactor.kit.roots import roots
from reactor.kit.words import explain
from reactor.secrets.given import Secrets
from reactor.secrets.masking import mask, masker

MAX_MESSAGE = 10_000
"""Characters of an error that are kept, once it is masked."""
MAX_RESULT = 16 * 1024 * 1024


class ActionPerformer:
    """Performs the calls of all runs; one instance of each action serves them."""

    def __init__(
        self,
        actions: Registry[AnyAction],
        clock: Clock,
        secret: Callable[[str], str],
        settings: ActionSettings,
        observer: Observer,
        connections: Lender | None = None,
        memory: Callable[[str], Memory] | None = None,
        collections: Collections | None = None,
        clients: Clients | None = None,
        tracing: bool = False,
    ) -> None:
        self._actions = actions
        self._clock = clock
        self._secret = secret
        self._settings = settings
        self._observer = observer
        self._connections = connections
        self._memory = memory
        self._collections = collections
        self._clients = clients
        self.tracing = tracing
        self._instances: dict[str, AnyAction] = {}

    async def perform(self, run: Run, frame: StepFrame, deadline: float | None) -> Any:
        body = frame.step.body
        action = self._instances.get(body.action)
        try:
            cls = self._actions.get(body.action)
        except KeyError:
            raise StepFailed("action.unknown", f"there is no action {body.action}", retryable=False) from None
        if type(action) is not cls:  # a plugin may come back with another one of the name
            action = self._instances[body.action] = cls()
        if action.needs is not None and action.needs not in self._settings.allow:
            raise StepFailed("action.denied", f"{body.action} needs --allow {action.needs}", retryable=False)
        secrets = Secrets(self._secret)
        try:
            given = body.arguments.render({**frame.scope.names, "secrets": secrets})
        except StepFailed as error:
            error.args = (mask(str(error), secrets.given),)
            error.details = mask(error.details, secrets.given)
            raise
        try:
            options = msgspec.convert(given, action.Options)
        except msgspec.ValidationError as error:
            raise StepFailed(
                "expression", mask(f"{body.action}: {explain(error, action.Options)}", secrets.given)
            ) from None
        context = ActionContext(
            run=run.id,
            flow=run.plan.flow,
            step=frame.step.id or frame.path,
            attempt=frame.attempt,
            idempotency_key=f"{run.id}/{frame.path}/{frame.generation}",
            deadline=deadline,
            clock=self._clock,
            folder=run.plan.folder,
            literals=roots(body.arguments.fronts, run.event.event, action.reading_options, self._settings.payloads),
            settings=self._settings,
            connection=self._lend(secrets),
            memory=self._memory(body.action) if self._memory is not None else None,
            collections=self._collections,
            reveals=lambda value: mask(value, secrets.given) != value,
            log=self._observer,
            traceparent=self._traceparent(run, frame),
            seed=f"{run.id}/{frame.path}/{frame.attempt}",
            clients=self._clients,
            mask=lambda text: str(mask(text, secrets.given)),
        )
        try:
            result = await action.run(options, context)
        except (NotConnected, NotReady) as error:
            message = mask(str(error), secrets.given)[:MAX_MESSAGE]
            raise StepFailed("connection.down", message, retryable=True) from None
        except StepFailed as error:
            error.args = (mask(str(error), secrets.given)[:MAX_MESSAGE],)
            error.details = mask(error.details, secrets.given)
            raise
        except Exception as error:  # a defect of the action; what it says is stored and logged like any other error
            if secrets.given:
                error.args = (mask(str(error), secrets.given),)
            raise
        try:
            encoded = msgspec.json.encode(result)
        except (TypeError, ValueError, RecursionError) as error:  # it has acted: never again because of its result
            message = mask(f"{body.action} gave what is not JSON: {error}", secrets.given)
            raise StepFailed("action.result", message, retryable=False) from None
        if len(encoded) > MAX_RESULT:
            raise StepFailed("limit", f"{body.action} gave {len(encoded):,} bytes; a result has at most 16 MiB")
        if secrets.given and (masking := masker(secrets.given)).found(encoded):
            return masking.value(msgspec.json.decode(encoded))
        return msgspec.json.decode(encoded)

    def _traceparent(self, run: Run, frame: StepFrame) -> str | None:
        if self.tracing or "traceparent" in run.event.event.extensions:
            return traceparent(run.event, f"{run.id}/{frame.path}/{frame.attempt}" if self.tracing else run.id)
        return None

    def _lend(self, secrets: Secrets) -> Lend:
        """Connections for one step; the secrets that they were given are kept out of its result too."""

        @asynccontextmanager
        async def lend(name: str) -> AsyncIterator[Any]:
            if self._connections is None:
                raise NotConnected(f"there is no connection {name}")
            try:
                async with self._connections.lend(name) as client:
                    secrets.given.update(self._connections.secrets_of(name))
                    yield client
            finally:
                secrets.given.update(self._connections.secrets_of(name))

        return lend
