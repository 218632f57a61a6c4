"""The accelerator, where it is built: see ``_straight.c``."""

from typing import Any

def send_all(sockets: list[Any], chunks: list[bytes], /) -> list[tuple[int, int]] | None: ...
