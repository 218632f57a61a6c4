"""What we depend on is not older than the versions that mended known advisories; ``pip-audit`` needs a network.

Each floor says why. Both what is installed here and what the locks would install is judged.
"""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).parents[2]

FLOORS = {
    "twisted": ("26.4", "HTTP/1.1 request smuggling and disclosure of pipelined responses"),
    "autobahn": ("20.12.3", "CVE-2020-35678: a redirect with header injection"),
    "h2": ("4.3", "CVE-2025-57804: request smuggling; not used while HTTP/2 is off"),
    "cryptography": ("42.0.4", "CVE-2024-26130: a crash while PKCS#12 is serialized"),
    "pyopenssl": ("24.0", "older ones need a cryptography with advisories"),
    "pyjwt": ("2.10.1", "CVE-2024-53861: an issuer that is a part of another was taken"),
    "pynacl": ("1.5", "older ones carry an older libsodium"),
    "cbor2": ("5.6.2", "CVE-2024-26134: a crash in the decoder"),
    "jinja2": ("3.1.6", "CVE-2025-27516: out of the sandbox"),
    "websockets": ("10.0", "CVE-2021-33880: a timing attack on basic auth"),
}
NODE_FLOORS = {"ws": ("8.21", "CVE-2024-37890: a crash by many header fields, and what was mended since")}
ONLY_TESTED_WITH = frozenset(("node_modules/autobahn/node_modules/ws",))
"""A foreign client brings it, which talks to a node of the tests and to nobody else."""
UNUSED = frozenset(("h2",))
"""What comes with Crossbar and is not imported by a node of ours: HTTP/2 is off (``doors/site.py``)."""


LOCKS = [path for path in sorted((ROOT / "requirements").glob("*.txt")) if "--hash" in path.read_text()]


@pytest.mark.parametrize("name", sorted(FLOORS.keys() - UNUSED))
def test_what_is_installed(name: str) -> None:
    floor, why = FLOORS[name]
    try:
        found = version(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed")

    assert Version(found) >= Version(floor), why


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_what_is_locked(path: Path) -> None:
    locked = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s\\;]+)", path.read_text(), re.MULTILINE))

    too_old = {
        name: (locked[name], why)
        for name, (floor, why) in FLOORS.items()
        if name not in UNUSED and name in locked and Version(locked[name]) < Version(floor)
    }

    assert locked
    assert too_old == {}


def test_what_is_too_old_is_not_used() -> None:
    """Twisted Web speaks HTTP/2 where h2 is there and the client offers it; ours offers HTTP/1.1 only."""
    from twisted.web.server import Site

    from hopsack_router.doors.console import Assets, Console
    from hopsack_router.doors.site import bound

    site = bound(Site(Console(Assets(ROOT / "none"), Assets(ROOT / "none"))))

    assert site.acceptableProtocols() == [b"http/1.1"]


@pytest.mark.parametrize("name", NODE_FLOORS)
def test_what_npm_locks(name: str) -> None:
    floor, why = NODE_FLOORS[name]
    packages = json.loads((ROOT / "web_client" / "package-lock.json").read_text())["packages"]
    found = {
        path: facts["version"]
        for path, facts in packages.items()
        if path.endswith(f"node_modules/{name}") and path not in ONLY_TESTED_WITH
    }

    assert found
    assert [path for path, one in found.items() if Version(one) < Version(floor)] == [], why
