"""A reader with our library: prints one JSON line for each thing that it is given.

    reader.py '{"url": …, "token": …, "topic": …, "match": …, "after": …}'

What the lines mean stands in ``hopsack_bench/programs.py``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import hopsack


def say(facts: dict[str, Any]) -> None:
    print(json.dumps(facts), flush=True)


async def main(asked: dict[str, Any]) -> None:
    async with hopsack.connect(asked["url"], asked["token"]) as fabric:
        subscription = await fabric.subscribe(
            asked["topic"],
            match=asked["match"],
            after=asked["after"],
            on_recovery=lambda how: say({"recovered": how.recovered, "reason": f"{how.topic}: {how.reason}"}),
        )
        async for event in subscription:
            say({"came": event.topic, "position": event.position, "data": event.data})


asyncio.run(main(json.loads(sys.argv[1])))
