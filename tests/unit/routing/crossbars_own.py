"""Run Crossbar's own router tests with our classes in place of theirs: ``python crossbars_own.py [MODULE …]``."""

from __future__ import annotations

import sys
import unittest
import unittest.mock

import crossbar.router.router
import crossbar.router.session
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

MODULES = sys.argv[1:] or ["test_broker", "test_dealer", "test_router", "test_authorize", "test_testament"]

if __name__ == "__main__":
    loader = TestLoader()
    suite = unittest.TestSuite(loader.loadByName(f"crossbar.router.test.{name}") for name in MODULES)
    result = TrialRunner(VerboseTextReporter).run(suite)
    sys.exit(not result.wasSuccessful())
