"""A Reactor plugin."""

import asyncio

from reactor_plugin import Plugin

plugin = Plugin()


@plugin.action
async def double(input, call):
    call.log(f"doubling {input['value']}", "debug")
    return {"result": input["value"] * 2}


@plugin.trigger
async def ticks(options, listen):
    for number in range((listen.cursor or 0) + 1, options["count"] + 1):
        await listen.emit({"n": number}, cursor=number)
        await asyncio.sleep(options["period"])
    await asyncio.Event().wait()


plugin.run()
