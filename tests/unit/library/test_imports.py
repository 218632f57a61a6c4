"""The library stands without Crossbar, and imports nothing before it is needed."""

from __future__ import annotations

import subprocess
import sys

import hopsack

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"crossbar", "autobahn", "txaio", "hopsack_router", "cbor2", "orjson"}:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Blocked())
"""


def python(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error::ImportWarning", "-c", program], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_everything_imports_without_the_node_s_packages() -> None:
    program = (
        BLOCKED
        + """
import hopsack, hopsack.run, hopsack.testing
from hopsack.errors import UsageError

for name in hopsack.__all__:
    getattr(hopsack, name)
try:
    hopsack.testing.Fabric()
except UsageError as error:
    print(error)
"""
    )

    assert "pip install 'hopsack[node]'" in python(program)


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = """
import sys, hopsack
first = {"asyncio", "msgspec", "twisted", "structlog", "websockets"} & sys.modules.keys()
hopsack.connect, hopsack.Service, hopsack.Topic, hopsack.Event
then = {"twisted", "structlog", "websockets", "yaml", "jsonschema_rs", "jwt", "click"} & sys.modules.keys()
print(sorted(first), sorted(then))
"""

    assert python(program) == "[] []"


def test_the_public_surface_is_what_it_says() -> None:
    assert set(hopsack.__all__) <= set(dir(hopsack))
    assert list(hopsack.__all__) == sorted(hopsack.__all__)
