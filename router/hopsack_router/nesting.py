"""How deep a message may nest before a decoder refuses it, rather than running out of stack.

Python's decoders, those in C included, guard their recursion with the interpreter's limit. py_ecc, which Crossbar
imports through its Ethereum parts, raises that limit to 100,000 for arithmetic a node never does; from then on a
message of 100 KB of opening brackets, from any guest on any door, ends the process with a segmentation fault.
"""

from __future__ import annotations

import sys

DEPTH = 1000
"""Python's own default."""


def bound_nesting() -> None:
    """Set the interpreter's limit back. Called when a worker starts, after every import that might raise it."""
    sys.setrecursionlimit(DEPTH)
