"""Tells every second what is in a folder: FOLDER, or the one it was started in."""

import os

from hopsack import Service, every


class Listing(Service):
    folder = os.environ.get("FOLDER", ".")

    @every(1.0)
    async def tell(self) -> None:
        await self.publish("demo.listing", sorted(os.listdir(self.folder)))
