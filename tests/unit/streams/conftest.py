"""What every test of the journal begins with: a clock turned by hand, and a store of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from hopsack_router.streams.memory import MemoryStore
from hopsack_router.streams.store import Store
from tests.unit.streams.stage import clock, sqlite


@pytest.fixture
def time() -> Clock:
    return clock()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path, time: Clock) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    store = sqlite(tmp_path, time)
    yield store
    store.close()
