"""A payload that was never on a wire."""

from __future__ import annotations

from typing import Any

import msgspec


class Plain(msgspec.Struct, frozen=True):
    value: Any

    def read(self, array: bool = False) -> Any:
        return self.value

    def read_as(self, type_: Any) -> Any:
        return msgspec.convert(self.value, type_)
