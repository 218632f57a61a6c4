"""Run Crossbar's own router tests with our classes in place of theirs: ``python crossbars_own.py [MODULE …]``."""

from __future__ import annotations

import pkgutil
import sys
import unittest
import unittest.mock
from typing import Any, ClassVar

import crossbar.router.router
import crossbar.router.session
import crossbar.router.test
from twisted.trial import util
from twisted.trial.reporter import VerboseTextReporter
from twisted.trial.runner import TestLoader, TrialRunner

import hopsack_router.routing.deadlines
from hopsack.deadlines import Deadlines
from hopsack_router.routing.router import RouterFactory
from hopsack_router.routing.session import NodeSessionFactory


class OursForTheirs(RouterFactory):
    """Our router with Crossbar's roles: no contracts, its own authorization."""

    catalogue = None


class Closing(Deadlines):
    """Calls have deadlines here, and Crossbar's tests end without closing anything: their timers go with each test."""

    made: ClassVar[list[Closing]] = []

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.made.append(self)

    @classmethod
    def close_all(cls) -> None:
        for one in cls.made:
            for lane in list(one._lanes.values()):
                lane.due.clear()
            one.close()
        cls.made.clear()


def after_each(janitor: Any, clean: Any = util._Janitor.postCaseCleanup) -> Any:
    Closing.close_all()
    return clean(janitor)


setattr(hopsack_router.routing.deadlines, "Deadlines", Closing)  # noqa: B010 - it is nobody's to assign
setattr(util._Janitor, "postCaseCleanup", after_each)  # noqa: B010
sys.modules["mock"] = unittest.mock  # what the tests import under its old name
crossbar.router.router.RouterFactory = OursForTheirs
crossbar.router.session.RouterSessionFactory = NodeSessionFactory

# All there are. Those of protocols, serializers, cookies and TLS run Crossbar's own transports under our sessions.
ALL = [name for _, name, _ in pkgutil.iter_modules(crossbar.router.test.__path__) if name.startswith("test_")]
MODULES = sys.argv[1:] or ALL

if __name__ == "__main__":
    loader = TestLoader()
    suite = unittest.TestSuite(loader.loadByName(f"crossbar.router.test.{name}") for name in MODULES)
    result = TrialRunner(VerboseTextReporter).run(suite)
    sys.exit(not result.wasSuccessful())
