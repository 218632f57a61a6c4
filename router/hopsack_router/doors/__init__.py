"""The doors: ways into the realm, as Crossbar web service types on the one HTTP port.

``SERVICES`` goes into the personality (type name → class with ``create`` and ``check``), ``PATHS`` into the node's
configuration (path → service configuration; ``ws`` is added there).
"""

from __future__ import annotations

from typing import Any

SERVICES: dict[str, Any] = {}
PATHS: dict[str, dict[str, Any]] = {}
