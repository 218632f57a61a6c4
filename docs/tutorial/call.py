"""Calls demo.echo with text and with bytes, which travel as base64."""

import asyncio

from hopsack import connect


async def main() -> None:
    async with connect("http://127.0.0.1:8080") as fabric:
        print(await fabric.call("demo.echo", "grüß dich", returns=str))
        print(await fabric.call("demo.echo", bytes([0, 127, 255]), returns=bytes))


asyncio.run(main())
