"""The topology of docker-compose.yml, started under a name of its own and driven from outside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("host", "watch", "alerts")
CONTAINERS = ("node", *SERVICES)
IMAGES = "hopsack-test"
"""What the test's images are called: they stay, so that a second run builds from the engine's cache."""


class StackFailed(AssertionError):
    """A command failed or a container fell ill; the message holds what it said."""


def what_is_missing() -> str | None:
    """Why the containers cannot run here, with the way to change that; ``None`` if they can."""
    if compose_command() is None:
        return "there is no docker-compose here (Debian: apt-get install docker.io docker-compose)"
    if subprocess.run(["docker", "version", "-f", "{{.Server.Version}}"], capture_output=True).returncode != 0:
        return "no Docker Engine answers (start it, or as root: docker/engine.sh start)"
    return None


def compose_command() -> list[str] | None:
    """docker-compose 1.29 where it is installed, else the engine's own ``docker compose``."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ["docker", "compose"]
    return None


def _environment(project: str, watched: Path) -> dict[str, str]:
    """Compose's variables. Whatever this shell has set for a node of its own stays out of the containers."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HOPSACK_")}
    return clean | {
        "COMPOSE_PROJECT_NAME": project,
        "IMAGE_PREFIX": IMAGES,
        "HOPSACK_HOST": "127.0.0.1",
        "HOPSACK_PORT": "0",
        "HOPSACK_MAILBOX_PORT": "0",
        "WATCHED": str(watched),
    }


@dataclass(frozen=True)
class Stack:
    """One project of docker-compose.

    :ivar project: its name; only what carries it is ever touched.
    :ivar watched: the folder on this machine that ``watch`` observes.
    """

    project: str
    watched: Path
    command: Sequence[str]
    environment: Mapping[str, str]

    @classmethod
    def named(cls, project: str, watched: Path) -> Stack:
        command = compose_command()
        if command is None:
            raise StackFailed("there is no docker-compose here")
        return cls(project, watched, command, _environment(project, watched))

    def compose(self, *arguments: str, timeout: float = 120, check: bool = True) -> str:
        return _run([*self.command, *arguments], self.environment, timeout, check)

    def docker(self, *arguments: str, timeout: float = 60) -> str:
        return _run(["docker", *arguments], self.environment, timeout, check=True)

    # Everything about single containers is asked of the engine: docker-compose 1.29 takes a second to start.

    def container(self, service: str) -> str:
        """The container's id, whether it runs or not."""
        mine = ["--filter", f"label=com.docker.compose.project={self.project}"]
        mine += ["--filter", f"label=com.docker.compose.service={service}"]
        return self.docker("ps", "-aq", *mine).strip()

    def execute(self, service: str, *command: str) -> str:
        """Run a command in a running container, as its own user."""
        return self.docker("exec", self.container(service), *command)

    def inspect(self, service: str) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(self.docker("inspect", self.container(service)))[0]
        return facts

    @property
    def authority(self) -> str:
        """``host:port`` of the one published port. A restart may change it."""
        return self.docker("port", self.container("node"), "8080/tcp").strip()

    def start(self) -> None:
        """Build, start, and wait until every long-running container is healthy."""
        self.compose("build", timeout=840)
        since = int(time.time())
        self.compose("up", "-d", "--no-build", timeout=240)
        self.wait_until_healthy(CONTAINERS, since)

    def wait_until_healthy(self, services: Sequence[str], since: int, timeout: float = 120) -> None:
        """Follow the engine's events, from ``since`` (seconds since the epoch) on, until all these are healthy."""
        awaited = set(services)
        follow = ["docker", "events", "--since", str(since), "--until", str(int(time.time() + timeout))]
        follow += ["--filter", f"label=com.docker.compose.project={self.project}", "--filter", "event=health_status"]
        follow += ["--format", '{{index .Actor.Attributes "com.docker.compose.service"}} {{.Action}}']
        with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True, env=self.environment) as events:
            try:
                assert events.stdout is not None
                for line in events.stdout:
                    service, _, health = line.strip().partition(" ")
                    (awaited.discard if health.endswith(": healthy") else awaited.add)(service)
                    if not awaited.intersection(services):
                        return
            finally:
                events.terminate()
        raise StackFailed(f"not healthy after {timeout:g} s: {', '.join(sorted(awaited))}\n{self.logs()}")

    def logs(self) -> str:
        return self.compose("ps", check=False) + self.compose("logs", "--no-color", "--tail", "40", check=False)

    def remove(self) -> None:
        """Containers, network and volumes of this project. The images stay as the next run's cache."""
        self.compose("down", "-v", "--remove-orphans", "-t", "5", check=False)


def _run(command: Sequence[str], environment: Mapping[str, str], timeout: float, check: bool) -> str:
    done = subprocess.run(command, cwd=ROOT, env=environment, timeout=timeout, capture_output=True, text=True)
    if check and done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise StackFailed(f"{' '.join(command)} exited {done.returncode}:\n{said}")
    return done.stdout
