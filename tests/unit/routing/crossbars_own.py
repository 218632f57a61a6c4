"""Run Crossbar's own router tests with our classes in place of theirs: ``python crossbars_own.py [MODULE …]``."""

from __future__ import annotations

import pkgutil
import sys
import unittest
import unittest.mock

import crossbar.router.router
import crossbar.router.session
import crossbar.router.test
from twisted.trial.reporter import VerboseTextReporter
from twisted.trial.runner import TestLoader, TrialRunner

from hopsack_router.routing.router import RouterFactory
from hopsack_router.routing.session import NodeSessionFactory


class OursForTheirs(RouterFactory):
    """Our router with Crossbar's roles: no contracts, its own authorization."""

    catalogue = None


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
