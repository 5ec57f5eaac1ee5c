"""The carrier of reactor_plugin over gRPC: needs the packages grpcio and protobuf, and plugin_pb2.py beside it.

The host sets REACTOR_PLUGIN_SOCKET and REACTOR_PLUGIN_TOKEN for a program that it starts (`command:` in plugin.yaml).
To serve elsewhere (`address:`), set them yourself:

    REACTOR_PLUGIN_LISTEN=0.0.0.0:7443      REACTOR_PLUGIN_TOKEN=...        the token that the host sends
    REACTOR_PLUGIN_TLS_CERT=server.pem      REACTOR_PLUGIN_TLS_KEY=server.key
    REACTOR_PLUGIN_TLS_CA=clients.pem       only hosts with a certificate of these may call (mTLS)
"""

import asyncio
import hmac
import itertools
import json
import os
import pathlib
import sys

import grpc
import grpc.aio
import plugin_pb2 as pb

KIT = "python/1"
SERVICE = "reactor.plugin.v1.Plugin"
EVENT = ("data", "key", "type", "subject", "time", "fields")
LIMITS = [("grpc.max_receive_message_length", 16 << 20), ("grpc.max_send_message_length", 16 << 20)]


class Carrier:
    """Turns the calls of gRPC into the messages that the kit knows, and back."""

    def __init__(self, plugin, token):
        self._plugin = plugin
        self._token = f"Bearer {token}"
        self._ids = itertools.count(1)
        self._answers, self._streams, self._calls, self._published = {}, {}, {}, {}
        self._said = asyncio.Queue()
        plugin._send = self._send

    async def _check(self, context):
        given = dict(context.invocation_metadata()).get("authorization", "")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "another token is needed")

    def _send(self, message):
        method, params = message.get("method"), message.get("params")
        if method is None and message["id"] in self._streams:
            self._streams[message["id"]].put_nowait(message)
        elif method is None:
            future = self._answers.get(message["id"])
            if future is not None and not future.done():
                future.set_result(message)
        elif method == "event":
            happened = pb.Happened(number=params["n"], event=_event(params["event"]))
            if params["cursor"] is not None:
                happened.cursor = json.dumps(params["cursor"]).encode()
            if params["listen"] in self._streams:
                self._streams[params["listen"]].put_nowait(pb.ListenResponse(happened=happened))
        elif method == "log":
            call = self._calls.get(params["call"], 0)
            self._said.put_nowait(
                pb.AttendResponse(log=pb.Log(level=params["level"], message=params["message"], call=call))
            )
        elif method == "progress":
            progress = pb.Progress(call=self._calls.get(params["call"], 0), message=params["message"] or "")
            if params["percent"] is not None:
                progress.percent = params["percent"]
            self._said.put_nowait(pb.AttendResponse(progress=progress))
        elif method == "publish":
            number = next(self._ids)
            self._published[number] = message["id"]
            publish = pb.Publish(id=number, event=_event(params["event"]))
            self._said.put_nowait(pb.AttendResponse(publish=publish))

    async def handshake(self, request, context):
        await self._check(context)
        return pb.HandshakeResponse(protocol=1, manifest=self._plugin._hash, kit=KIT)

    async def health(self, request, context):
        await self._check(context)
        return pb.HealthResponse(serving=True)

    async def act(self, request, context):
        await self._check(context)
        try:
            given = json.loads(request.input or b"{}")
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the input is no JSON: {error}")
        step = request.context
        told = {name: getattr(step, name) for name in ("run", "flow", "step", "attempt", "idempotency_key")}
        told["deadline"] = step.deadline if step.HasField("deadline") else None
        id = next(self._ids)
        self._calls[id] = request.call
        future = self._answers[id] = asyncio.get_running_loop().create_future()
        try:
            params = {"action": request.action, "input": given, "context": told}
            self._plugin._take({"id": id, "method": "act", "params": params})
            answer = await future
        except asyncio.CancelledError:
            self._plugin._take({"method": "cancel", "params": {"id": id}})
            raise
        finally:
            del self._answers[id], self._calls[id]
        if "error" in answer:
            return pb.ActResponse(failure=_failure(answer["error"]))
        return pb.ActResponse(result=json.dumps(answer["result"]).encode())

    async def listen(self, requests, context):
        await self._check(context)
        id = next(self._ids)
        out = self._streams[id] = asyncio.Queue()

        async def take():
            async for request in requests:
                if request.WhichOneof("request") == "open":
                    given = request.open
                    self._plugin._take({"id": id, "method": "listen", "params": {
                        "trigger": given.trigger, "options": json.loads(given.options or b"{}"),
                        "cursor": json.loads(given.cursor) if given.cursor else None, "credit": given.credit,
                    }})  # fmt: skip
                else:
                    params = {"listen": id, "n": request.acknowledge.number}
                    self._plugin._take({"method": "ack", "params": params})

        taking = asyncio.get_running_loop().create_task(take())
        try:
            while True:
                message = await out.get()
                if isinstance(message, pb.ListenResponse):
                    yield message
                    continue
                if "error" in message:
                    yield pb.ListenResponse(failure=_failure(message["error"]))
                return
        finally:
            taking.cancel()
            del self._streams[id]
            self._plugin._take({"method": "cancel", "params": {"id": id}})

    async def attend(self, requests, context):
        await self._check(context)

        async def take():
            async for request in requests:
                answer = request.published
                id = self._published.pop(answer.id, None)
                if answer.WhichOneof("outcome") == "accepted":
                    accepted = {"event": answer.accepted.event, "runs": answer.accepted.runs}
                    self._plugin._take({"id": id, "result": accepted})
                else:
                    self._plugin._take({"id": id, "error": {"message": answer.failure.message}})

        taking = asyncio.get_running_loop().create_task(take())
        try:
            while True:
                yield await self._said.get()
        finally:
            taking.cancel()


def _event(event):
    for name in event:
        if name not in EVENT:
            raise TypeError(f"an event has no {name}; it has {', '.join(EVENT)}")
    made = pb.Event(data=json.dumps(event.get("data")).encode())
    for name in ("key", "type", "subject", "time"):
        if event.get(name) is not None:
            setattr(made, name, event[name])
    if event.get("fields"):
        made.fields = json.dumps(event["fields"]).encode()
    return made


def _failure(error):
    data = error.get("data") or {}
    details = json.dumps(data.get("details") or {}).encode()
    return pb.Failure(
        type=data.get("type", ""), message=error["message"], retryable=data.get("retryable", False), details=details
    )


async def serve(plugin):
    """Until stdin ends where the host started us, else until a signal."""
    socket, place = os.environ.get("REACTOR_PLUGIN_SOCKET"), os.environ.get("REACTOR_PLUGIN_LISTEN")
    carrier = Carrier(plugin, os.environ["REACTOR_PLUGIN_TOKEN"])
    server = grpc.aio.server(options=LIMITS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {
        "Handshake": _unary(carrier.handshake, pb.HandshakeRequest, pb.HandshakeResponse),
        "Act": _unary(carrier.act, pb.ActRequest, pb.ActResponse),
        "Health": _unary(carrier.health, pb.HealthRequest, pb.HealthResponse),
        "Listen": _stream(carrier.listen, pb.ListenRequest, pb.ListenResponse),
        "Attend": _stream(carrier.attend, pb.AttendRequest, pb.AttendResponse),
    }),))  # fmt: skip
    if socket:
        server.add_insecure_port(f"unix:{socket}")
    elif "REACTOR_PLUGIN_TLS_CERT" in os.environ:
        pair = (_file("REACTOR_PLUGIN_TLS_KEY"), _file("REACTOR_PLUGIN_TLS_CERT"))
        ca = _file("REACTOR_PLUGIN_TLS_CA") if "REACTOR_PLUGIN_TLS_CA" in os.environ else None
        server.add_secure_port(place, grpc.ssl_server_credentials([pair], ca, ca is not None))
    else:
        server.add_insecure_port(place)
    await server.start()
    if socket:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        await reader.read()
        await server.stop(0.2)
    else:
        await server.wait_for_termination()


def _file(name):
    return pathlib.Path(os.environ[name]).read_bytes()


def _unary(method, request, answer):
    return grpc.unary_unary_rpc_method_handler(method, request.FromString, answer.SerializeToString)


def _stream(method, request, answer):
    return grpc.stream_stream_rpc_method_handler(method, request.FromString, answer.SerializeToString)
