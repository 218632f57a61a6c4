"""A service's health check: exit 0 if its process says that everything is served, and said so just now.

``hopsack run --ready-file`` touches the file every second while the node has granted every registration and
subscription, and removes it otherwise. A loop that stands still touches nothing.
"""

import os
import sys
import time

READY = "/tmp/ready"  # noqa: S108  the container's own tmpfs
STALE = 5.0

try:
    age = time.time() - os.stat(READY).st_mtime
except FileNotFoundError:
    sys.exit("not connected to the node, or not everything is registered yet")
sys.exit(None if age < STALE else f"the loop has stood still for {age:.0f} s")
