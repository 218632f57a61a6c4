"""Names as the disk has them, and as the fabric shows them. A name is data: it may hold anything but ``/`` and NUL."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable

LONGEST = 4096
"""Characters of a path that the contract allows."""

_UNDECODABLE = re.compile("[\udc80-\udcff]")


def shown(path: Iterable[str]) -> str:
    """A path as one string of Unicode text.

    A byte that is not UTF-8 (a surrogate, PEP 383) becomes U+FFFD and its two hexadecimal digits, so that two such
    names stay two: ``b"caf\\xe9"`` is shown as ``caf\ufffde9``. Everything else, line breaks included, stays as it is.
    """
    return _UNDECODABLE.sub(lambda found: f"\ufffd{ord(found[0]) - 0xDC00:02x}", "/".join(path))


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """A test of single names against shell patterns (``*``, ``?``, ``[…]``), such as ``.*`` for hidden ones."""
    union = "|".join(fnmatch.translate(pattern) for pattern in patterns if pattern)
    matches = re.compile(union or r"(?!)").match
    return lambda name: matches(name) is not None
