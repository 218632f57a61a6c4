"""One mapping of a contracts file, asked key by key."""

from __future__ import annotations

import re
from typing import Any

from hopsack.contracts import permission
from hopsack.contracts.catalogue import ROLES
from hopsack.contracts.document import Origin
from hopsack.contracts.problems import Problem, suggest
from hopsack.contracts.schema import faults

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)\Z")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(KiB|MiB|GiB)\Z")
_BYTES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_LEAST_BYTES = 4096


class Section:
    """One mapping of the file, asked key by key. An answer that is wrong is reported and replaced by a harmless one."""

    def __init__(self, value: Any, origin: Origin, problems: list[Problem], known: tuple[str, ...]) -> None:
        self.origin, self._problems = origin, problems
        self.value: dict[str, Any] = value if isinstance(value, dict) else {}
        self.broken = not isinstance(value, dict)
        if self.broken:
            self.wrong((), "must be an object", "its keys are " + ", ".join(f"`{key}`" for key in known))
        for key in self.value:
            if key not in known:
                self.wrong((key,), f"`{key}` is not a key here", suggest(key, known))

    def within(self, key: str, known: tuple[str, ...]) -> Section:
        """The mapping that stands at a key."""
        return Section(self.value.get(key), self.origin.at(key), self._problems, known)

    def wrong(self, path: tuple[str | int, ...], message: str, advice: str = "") -> None:
        self._problems.append(self.origin.at(*path).problem(message, advice))

    def _required(self, key: str, advice: str) -> bool:
        if key in self.value:
            return True
        if not self.broken:
            self.wrong((), f"`{key}` is missing", advice)
        return False

    def text(self, key: str, *, required: bool = False) -> str:
        if required and not self._required(key, "say in one sentence what it is"):
            return ""
        value = self.value.get(key, "")
        if not isinstance(value, str) or (key in self.value and not value.strip()):
            self.wrong((key,), f"`{key}` must be text")
            return ""
        return value.strip()

    def flag(self, key: str) -> bool:
        value = self.value.get(key, False)
        if not isinstance(value, bool):
            self.wrong((key,), f"`{key}` must be `true` or `false`")
            return False
        return value

    def number(self, key: str, least: int) -> int | None:
        """A whole number; ``None`` if it is not given."""
        if key not in self.value:
            return None
        value = self.value[key]
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            self.wrong((key,), f"`{key}` must be a whole number, at least {least}")
            return None
        return value

    def duration(self, key: str) -> float | None:
        if key not in self.value:
            return None
        parts = _DURATION.match(str(self.value[key]))
        seconds = float(parts[1]) * _SECONDS[parts[2]] if parts else 0.0
        if seconds <= 0:
            self.wrong((key,), f"`{key}` must be a duration above 0", "write `500ms`, `2s`, `5m`, `1h` or `7d`")
            return None
        return seconds

    def size(self, key: str) -> int | None:
        """Bytes: a whole number, or one with a unit."""
        if key not in self.value:
            return None
        value = self.value[key]
        parts = _SIZE.match(value) if isinstance(value, str) else None
        size = int(float(parts[1]) * _BYTES[parts[2]]) if parts else value
        if not isinstance(size, int) or isinstance(size, bool) or size < _LEAST_BYTES:
            self.wrong(
                (key,),
                f"`{key}` must be at least {_LEAST_BYTES:,} bytes",
                "write `65536`, `64 KiB`, `16 MiB` or `1 GiB`",
            )
            return None
        return size

    def permission(self, action: str, uri: str) -> tuple[str, ...]:
        """Who may do it is always written down: nobody should have to know a default to know who may do what.

        :param uri: of the topic or procedure, whose parameters entries may name.
        """
        if not self._required(action, f"list the roles, of {', '.join(ROLES)}; `[]` is nobody but the node"):
            return ()
        value = self.value[action]
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            advice = f"entries are {', '.join(ROLES)}, or `user:{{sub}}`, `group:name` and the like"
            self.wrong((action,), f"`{action}` must be a list of roles", advice)
            return ()
        right = []
        for index, entry in enumerate(value):
            if wrong := permission.fault(entry, uri, ROLES):
                message, right_is = wrong
                self.wrong((action, index), message, suggest(entry, ROLES) if right_is is None else right_is)
            elif entry in right:
                self.wrong((action, index), f"`{entry}` is there twice", "keep one")
            else:
                right.append(entry)
        return tuple(right)

    def schema(self, key: str, *, required: bool = False) -> Any:
        if required and not self._required(key, "write a schema, or `{$ref: '#/types/Name'}`"):
            return {}
        if key not in self.value:
            return None
        self._problems.extend(faults(self.value[key], self.origin.at(key)))
        return self.value[key]
