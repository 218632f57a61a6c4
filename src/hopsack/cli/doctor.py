"""``hopsack doctor``: what this machine has, what it lacks, and how to get it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from hopsack.cli.exits import Exit
from hopsack.cli.main import json_option, local_options, settings_from
from hopsack.cli.output import for_people, plain, to_json
from hopsack.settings import Settings

Verdict = Literal["ok", "missing", "wrong"]

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OLDEST_NODE = (20, 19)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's.

    :ivar needed: whether Hopsack runs without it; only what is needed makes the exit code 1.
    :ivar cure: what to do, where something is missing or wrong.
    """

    what: str
    verdict: Verdict
    text: str
    cure: str = ""
    needed: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"what": self.what, "verdict": self.verdict, "text": self.text, "cure": self.cure, "needed": self.needed}


@click.command(short_help="See what this machine has and what it lacks.")
@local_options
@json_option
def doctor(as_json: bool, **given: Any) -> int:
    """See what this machine has and what it lacks. Exit code 1 if Hopsack cannot do without what is missing."""
    settings = settings_from(**given)
    sick = False
    for finding in examine(settings):
        sick = sick or (finding.needed and finding.verdict != "ok")
        click.echo(_line(finding) if for_people(as_json) else to_json(finding.to_json()))
    return Exit.FAILURE if sick else Exit.OK


def _line(finding: Finding) -> str:
    colour = {"ok": "green", "missing": "red" if finding.needed else "yellow", "wrong": "red"}[finding.verdict]
    mark = click.style(finding.verdict.ljust(8), fg=colour)
    line = f"{mark}{finding.what.ljust(16)}{plain(finding.text)}"
    return line + (f"\n{' ' * 24}{finding.cure}" if finding.cure else "")


def examine(settings: Settings) -> Iterator[Finding]:
    """Every finding, one after the other, as it is found."""
    yield python()
    yield router()
    yield accelerator()
    yield node_js()
    yield web_pages(settings)
    yield chromium()
    yield docker()
    yield compose()
    yield data_folder(settings)
    yield contracts(settings)
    yield from ports(settings)
    if settings.env == "prod":
        yield from fitness(settings)


def python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", "ok", f"{version}, {sys.executable}", needed=True)


def router() -> Finding:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Finding("router", "ok", f"hopsack-router {version('hopsack-router')} on crossbar {version('crossbar')}")
    except PackageNotFoundError as error:
        return Finding("router", "missing", f"{error.name} is not installed", "only needed where a node runs")


def accelerator() -> Finding:
    """Whether a node here sends in C. The module is loaded on its own: the router behind it takes seconds."""
    from importlib.machinery import PathFinder
    from importlib.util import find_spec, module_from_spec

    router = find_spec("hopsack_router")
    doors = [str(Path(place, "doors")) for place in (router and router.submodule_search_locations) or ()]
    found = PathFinder.find_spec("_straight", doors)
    if found is not None and found.origin is not None:
        try:
            module_from_spec(found)
            return Finding("accelerator", "ok", f"the node sends in C, {found.origin}")
        except ImportError as error:
            return Finding("accelerator", "wrong", f"{found.origin} cannot be loaded: {error}", REBUILD)
    text = "not built: the node sends in Python" if doors else "needs the router"
    return Finding("accelerator", "missing", text, REBUILD)


REBUILD = (
    "apt install gcc python3-dev, remove .venv/hopsack.stamp, and start ./hopsack again; events then cost a node less"
)


def node_js() -> Finding:
    cure = f"install Node.js {OLDEST_NODE[0]}.{OLDEST_NODE[1]} or newer with npm; only the web pages need it"
    version = said("node", "--version")
    if version is None:
        return Finding("Node.js", "missing", "not installed", cure)
    found = re.match(r"v(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_NODE:
        return Finding("Node.js", "wrong", version, cure)
    npm = said("npm", "--version")
    if npm is None:
        return Finding("Node.js", "missing", f"{version}, but no npm", cure)
    return Finding("Node.js", "ok", f"{version}, npm {npm}")


def web_pages(settings: Settings) -> Finding:
    if (settings.web / "index.html").is_file():
        return Finding("web pages", "ok", str(settings.web))
    return Finding("web pages", "missing", f"{settings.web} is not built", "`hopsack up` builds it if Node.js is there")


def chromium() -> Finding:
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    version = said(path, "--version", "--no-sandbox") if path else None
    if version is None:
        return Finding("Chromium", "missing", "not installed", "apt install chromium; only the browser tests need it")
    return Finding("Chromium", "ok", f"{version.strip()}, {path}")


def docker() -> Finding:
    if shutil.which("docker") is None:
        cure = "apt install docker.io; only containers and their tests need it"
        return Finding("Docker", "missing", "not installed", cure)
    server = said("docker", "info", "--format", "{{.ServerVersion}}")
    if not server:
        return Finding("Docker", "missing", "installed, but no engine answers", "start dockerd, or join its group")
    return Finding("Docker", "ok", f"engine {server}")


def compose() -> Finding:
    for words in (("docker-compose", "version", "--short"), ("docker", "compose", "version", "--short")):
        version = said(*words)
        if version:
            return Finding("docker-compose", "ok", version)
    cure = "apt install docker-compose; only containers and their tests need it"
    return Finding("docker-compose", "missing", "not installed", cure)


def data_folder(settings: Settings) -> Finding:
    place: Path = settings.data
    cure = "set HOPSACK_DATA to a folder that can be written"
    there = next(path for path in (place, *place.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding("data folder", "wrong", f"{place} cannot be written", cure, needed=True)
    free = shutil.disk_usage(there).free
    text = f"{place}, {free / 1e9:.1f} GB free"
    if free < 100e6:
        return Finding("data folder", "wrong", text, "make room, or " + cure, needed=True)
    return Finding("data folder", "ok", text if place.exists() else f"{text}, made at first use", needed=True)


def contracts(settings: Settings) -> Finding:
    from hopsack.contracts import ContractsInvalid, load

    try:
        catalogue = load(settings.schemas)
    except ContractsInvalid as invalid:
        count = len(invalid.problems)
        text = f"{count} fault{'s' if count != 1 else ''} in {settings.schemas}"
        return Finding("contracts", "wrong", text, "`hopsack check` tells them", needed=True)
    return Finding(
        "contracts", "ok", f"{len(catalogue.topics)} topics, {len(catalogue.procedures)} procedures", needed=True
    )


def fitness(settings: Settings) -> Iterator[Finding]:
    """Whether a node would start in production."""
    from hopsack import production
    from hopsack.contracts import ContractsInvalid, load

    try:
        surroundings = production.look(settings)
        found = production.problems(settings, load(settings.schemas), surroundings)
    except ContractsInvalid:
        return  # told already
    if not found:
        yield Finding("production", "ok", "this node would start", needed=True)
    for one in found:
        yield Finding("production", "wrong", one.message, one.cure, needed=True)
    for one in production.warnings(surroundings):
        yield Finding("secrets", "wrong", one.message, one.cure)


def ports(settings: Settings) -> Iterator[Finding]:
    from hopsack.errors import LocalError
    from hopsack.supervise import state
    from hopsack.supervise.ports import check_free

    if state.running(settings.data) is not None:
        yield Finding("ports", "ok", "in use by what `hopsack up` runs here")
        return
    wanted = [("port", settings.port, "HOPSACK_PORT")]
    if settings.rawsocket_path is None:
        wanted.append(("port", settings.rawsocket_port, "HOPSACK_RAWSOCKET_PORT"))
    for what, port, variable in wanted:
        try:
            check_free(settings.host, port, variable)
            yield Finding(f"{what} {port}", "ok", "free")
        except LocalError as error:
            text = getattr(error, "message", str(error))
            yield Finding(f"{what} {port}", "wrong", text, getattr(error, "advice", ""))


def said(*words: str) -> str | None:
    """What a program says about itself; ``None`` if it is not there or fails."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
