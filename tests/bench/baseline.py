"""The baseline: a bare aiohttp application that parses the same JSON and answers."""

from __future__ import annotations

import json
import sys

import uvloop
from aiohttp import web


async def orders(request: web.Request) -> web.Response:
    body = await request.json()
    return web.json_response({"id": body["id"], "gross": body["total"] * 2})


def main() -> None:
    app = web.Application()
    app.router.add_post("/hooks/orders", orders)
    uvloop.install()
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        print=lambda *_: print(json.dumps({"up": True}), flush=True),
        access_log=None,
    )


main()
