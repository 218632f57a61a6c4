"""What is called in `hopsack bench chaos`, and left alone."""

from __future__ import annotations

from typing import Any

from hopsack import Service, procedure


class Steady(Service):
    name = "steady"

    @procedure("chaos.steady")
    async def steady(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"id": asked["id"], "run": "steady", "value": 0}
