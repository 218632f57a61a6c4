"""What the tests of services need: :class:`Fabric`, the fabric in memory. See :mod:`hopsack.testing.fabric`."""

from hopsack.testing.fabric import Fabric
from hopsack.testing.loop import HandTurnedLoop, Stuck

__all__ = ["Fabric", "HandTurnedLoop", "Stuck"]
