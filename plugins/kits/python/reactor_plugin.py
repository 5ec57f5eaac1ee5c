"""Write a Reactor plugin in Python 3.9 or later: standard library only; for gRPC, reactor_plugin_grpc.py beside it.

    from reactor_plugin import Failure, Plugin

    plugin = Plugin()

    @plugin.action
    async def double(input, call):
        return {"result": input["value"] * 2}

    @plugin.trigger
    async def ticks(options, listen):
        number = listen.cursor or 0
        while True:
            number += 1
            await listen.emit(data={"n": number}, cursor=number)

    plugin.run()

The names are those of `plugin.yaml`. The protocol keeps stdout for itself: what is printed, here or by a program that
this one starts, goes to stderr, and so into the daemon's log.
"""

import asyncio
import hashlib
import json
import os
import pathlib
import sys

PROTOCOL = 1


class Failure(Exception):
    """A failed call. `retryable`: whether the step may be tried again; `type` is what a flow's handler catches."""

    def __init__(self, message, type="plugin.failed", retryable=False, details=None):
        super().__init__(message)
        self.data = {"type": type, "retryable": retryable, "details": details or {}}


class Call:
    """What is known of the step: `run flow step attempt idempotency_key deadline` (seconds since 1970, or None)."""

    def __init__(self, plugin, id, context):
        self._plugin, self.id = plugin, id
        for name, value in context.items():
            setattr(self, name, value)

    def log(self, message, level="info"):
        self._plugin._send({"method": "log", "params": {"call": self.id, "level": level, "message": str(message)}})

    def progress(self, percent=None, message=None):
        params = {"call": self.id, "percent": percent, "message": message}
        self._plugin._send({"method": "progress", "params": params})


class Listen:
    """An open trigger. `cursor` is what came with the last event that is durable, None at the first start."""

    def __init__(self, plugin, id, cursor, credit):
        self._plugin, self._id, self.cursor = plugin, id, cursor
        self._sent, self._credit = 0, asyncio.Semaphore(credit)
        self._durable, self._news = 0, asyncio.Event()

    async def emit(self, data=None, cursor=None, **event):
        """Sends an event; waits while too many are not durable yet. Its number; `durable(number)` waits for it.
        `event` may have key, type, subject, time, fields."""
        await self._credit.acquire()
        self._sent += 1
        params = {"listen": self._id, "n": self._sent, "event": {"data": data, **event}, "cursor": cursor}
        self._plugin._send({"method": "event", "params": params})
        return self._sent

    async def durable(self, number):
        """Returns when the event of that number, and all before it, are on the daemon's disk."""
        while self._durable < number:
            self._news.clear()
            await self._news.wait()

    def _acknowledged(self, number):
        for _ in range(number - self._durable):
            self._credit.release()
        self._durable = max(self._durable, number)
        self._news.set()


class Plugin:
    def __init__(self, manifest=None):
        path = pathlib.Path(manifest) if manifest else pathlib.Path(sys.argv[0]).resolve().parent / "plugin.yaml"
        self._hash = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        self._actions, self._triggers, self._tasks, self._listening, self._asked = {}, {}, {}, {}, {}

    def action(self, function):
        self._actions[function.__name__] = function
        return function

    def trigger(self, function):
        self._triggers[function.__name__] = function
        return function

    async def publish(self, type, data=None, **event):
        """Sends an event by itself; returns when it is durable."""
        id = f"p{len(self._asked) + 1}"
        self._asked[id] = asyncio.get_running_loop().create_future()
        self._send({"id": id, "method": "publish", "params": {"event": {"type": type, "data": data, **event}}})
        return await self._asked[id]

    def run(self):
        """Serves until the host closes stdin; over gRPC where the environment says so (see reactor_plugin_grpc)."""
        if "REACTOR_PLUGIN_SOCKET" in os.environ or "REACTOR_PLUGIN_LISTEN" in os.environ:
            import reactor_plugin_grpc

            asyncio.run(reactor_plugin_grpc.serve(self))
        else:
            asyncio.run(self._serve())

    async def _serve(self):
        loop = asyncio.get_running_loop()
        self._out = os.fdopen(os.dup(1), "wb")
        sys.stdout.flush()
        os.dup2(2, 1)
        sys.stdout.reconfigure(line_buffering=True)
        reader = asyncio.StreamReader(limit=32 * 1024 * 1024)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            self._take(json.loads(line))
        for task in self._tasks.values():
            task.cancel()

    def _take(self, message):
        method, id, params = message.get("method"), message.get("id"), message.get("params") or {}
        if method == "handshake":
            self._send({"id": id, "result": {"protocol": PROTOCOL, "manifest": self._hash}})
        elif method in ("act", "listen"):
            work = self._act(id, params) if method == "act" else self._listen(id, params)
            self._tasks[id] = asyncio.get_running_loop().create_task(self._answer(id, work))
        elif method == "ack":
            if params["listen"] in self._listening:
                self._listening[params["listen"]]._acknowledged(params["n"])
        elif method == "cancel":
            if params["id"] in self._tasks:
                self._tasks[params["id"]].cancel()
        elif method is None:
            future = self._asked.pop(id, None)
            if future is not None and "error" in message:
                future.set_exception(Failure(message["error"]["message"]))
            elif future is not None:
                future.set_result(message["result"])
        elif id is not None:
            self._send({"id": id, "error": {"code": -32601, "message": f"there is no method {method}"}})

    async def _act(self, id, params):
        function = self._actions.get(params["action"])
        if function is None:
            raise Failure(f"there is no action {params['action']}", "plugin.unknown")
        return await function(params["input"], Call(self, id, params["context"]))

    async def _listen(self, id, params):
        function = self._triggers.get(params["trigger"])
        if function is None:
            raise Failure(f"there is no trigger {params['trigger']}", "plugin.unknown")
        listening = self._listening[id] = Listen(self, id, params["cursor"], params["credit"])
        try:
            await function(params["options"], listening)
        finally:
            del self._listening[id]

    async def _answer(self, id, work):
        try:
            self._send({"id": id, "result": await work})
        except Failure as error:
            self._send({"id": id, "error": {"code": -32000, "message": str(error), "data": error.data}})
        except asyncio.CancelledError:
            self._send({"id": id, "error": {"code": -32000, "message": "cancelled", "data": {"type": "cancelled"}}})
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            self._send({"id": id, "error": {"code": -32000, "message": message, "data": {"type": "plugin.failed"}}})
        finally:
            self._tasks.pop(id, None)

    def _send(self, message):
        self._out.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self._out.flush()
