"""Which folders are watched, from the environment. Read once, at start.

WATCH_ROOTS=home=/data,etc=/etc     name=folder, comma-separated; default project=. (the current folder)
WATCH_IGNORE=.*,node_modules        shell patterns of names to pass over; empty: none
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from hopsack.settings import ConfigError

_NAME = re.compile(r"[a-z0-9_]{1,64}")
_EXAMPLE = "such as WATCH_ROOTS=home=/data,etc=/etc"


@dataclass(frozen=True, slots=True)
class Roots:
    """:ivar folders: name → absolute path. :ivar ignore: shell patterns of single names."""

    folders: Mapping[str, str]
    ignore: tuple[str, ...]

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Roots:
        """:raises ConfigError: a name is none or stands twice, or a folder is missing."""
        folders: dict[str, str] = {}
        for part in environ.get("WATCH_ROOTS", "").strip().split(",") if environ.get("WATCH_ROOTS") else ["project=."]:
            name, _, folder = part.strip().partition("=")
            if not _NAME.fullmatch(name):
                raise ConfigError(f"WATCH_ROOTS: {name!r} is no name of a root", "1 to 64 of a-z, 0-9 and _")
            if not folder:
                raise ConfigError(f"WATCH_ROOTS: {name!r} has no folder", _EXAMPLE)
            if name in folders:
                raise ConfigError(f"WATCH_ROOTS: {name!r} stands twice", _EXAMPLE)
            folders[name] = os.path.abspath(os.path.expanduser(folder))
        ignore = environ.get("WATCH_IGNORE", ".*,node_modules,__pycache__")
        return cls(folders, tuple(part.strip() for part in ignore.split(",") if part.strip()))
