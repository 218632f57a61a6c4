"""``hopsack test``: the layers of tests that this machine can run, and what it would take to run the others.

A layer is left out as a whole when the machine lacks what it needs, and in part when its tests skip themselves; both
are named at the end with the way to get it, and are failures with ``--all``. Only what :data:`EXEMPT` declares may be
missing even then, since it is not to be had everywhere; it is named just as loudly.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from hopsack.cli import doctor
from hopsack.cli.exits import Ended, Exit
from hopsack.cli.main import json_option, settings_from
from hopsack.cli.output import say, to_json
from hopsack.errors import UsageError
from hopsack.settings import Settings

Need = Callable[[Settings], doctor.Finding]

NO_PYTHON_2 = "no Python 2.7 with pip here, and the Autobahn testsuite knows no newer Python"

EXEMPT = frozenset({NO_PYTHON_2})
"""Reasons that a test may skip itself for even with ``--all``: what no package of a current system provides."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer.

    :ivar paths: given to pytest, if it is a layer of pytest's.
    :ivar is_parallel: its files share nothing with each other: one process a core runs them.
    :ivar commands: run one after the other, all of them, if it is not; ``web:`` before a word is its folder.
    :ivar needs: what the machine must have.
    """

    what: str
    paths: tuple[str, ...] = ()
    is_parallel: bool = False
    commands: tuple[tuple[str, ...], ...] = ()
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a layer went.

    :ivar left_out: what was not run, and how to get what is missing.
    :ivar exempt: what was not run, and need not be: :data:`EXEMPT`.
    """

    layer: str
    verdict: Literal["passed", "failed", "left out"]
    seconds: float = 0.0
    left_out: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()

    def is_failure(self, strict: bool) -> bool:
        return self.verdict == "failed" or (strict and bool(self.left_out))

    def to_json(self) -> dict[str, Any]:
        return {
            "layer": self.layer,
            "verdict": self.verdict,
            "seconds": round(self.seconds, 1),
            "left_out": list(self.left_out),
            "exempt": list(self.exempt),
        }


def _node_js(_: Settings) -> doctor.Finding:
    return doctor.node_js()


def _web_packages(settings: Settings) -> doctor.Finding:
    if (settings.project / "web_client" / "node_modules").is_dir():
        return doctor.Finding("web packages", "ok", "installed")
    return doctor.Finding("web packages", "missing", "not installed", "npm ci, in web_client")


def _chromium(_: Settings) -> doctor.Finding:
    return doctor.chromium()


def _docker(_: Settings) -> doctor.Finding:
    return doctor.docker()


def _compose(_: Settings) -> doctor.Finding:
    return doctor.compose()


_SOURCES = ("src", "router/hopsack_router", "services", "tests", "bench/hopsack_bench")

LAYERS: Mapping[str, Layer] = {
    "lint": Layer("ruff", commands=(("ruff", "check", "."), ("ruff", "format", "--check", "."))),
    "types": Layer("mypy, generated files", commands=(("mypy", *_SOURCES), ("hopsack", "generate", "--check"))),
    "unit": Layer(
        "cores, recorded conversations and services, in memory",
        paths=("tests/unit", "tests/conversations", "services", "tests/docs/text"),
        is_parallel=True,
    ),
    "web": Layer(
        "the web client: tsc, Biome, Vitest",
        commands=(("web:npm", "run", "--silent", "check"), ("web:npm", "test", "--silent")),
        needs=(_node_js, _web_packages),
    ),
    "node": Layer("a real node, stock clients", paths=("tests/node", "tests/docs/programs"), is_parallel=True),
    "browser": Layer(
        "pages in Chromium",
        paths=("tests/browser", "tests/docs/pages"),
        needs=(_node_js, _web_packages, doctor.web_pages, _chromium),
    ),
    "compose": Layer("containers", paths=("tests/compose",), needs=(_docker, _compose)),
}


@click.command(short_help="Run the tests that this machine can run.")
@click.argument("layers", nargs=-1, metavar=f"[{'|'.join(LAYERS)}]...")
@click.option("--all", "strict", is_flag=True, help="What is left out is a failure.")
@json_option
def test(layers: tuple[str, ...], strict: bool, as_json: bool) -> int:
    """Run the tests that this machine can run, or the layers that are named.

    It ends with what passed, what failed and what was left out, and how to get what is missing. Exit code 1 if
    something failed. With --json the summary is JSON, and what the tests print goes to stderr.
    """
    for name in layers:
        if name not in LAYERS:
            raise UsageError(f"there is no layer {name!r}: known are {', '.join(LAYERS)}")
    settings = settings_from()
    if not (settings.project / "tests").is_dir():
        raise Ended(f"there are no tests in {settings.project}", Exit.FAILURE, "this verb works in a checkout")
    outcomes: list[Outcome] = []
    try:
        outcomes.extend(_run(layers or tuple(LAYERS), settings, as_json))
    except KeyboardInterrupt:
        say("\nhopsack: interrupted")
        return 130
    _summarise(outcomes, strict, as_json)
    return Exit.FAILURE if any(outcome.is_failure(strict) for outcome in outcomes) else Exit.OK


def _run(names: Sequence[str], settings: Settings, as_json: bool) -> Iterator[Outcome]:
    for name in names:
        layer = LAYERS[name]
        lacking = [finding for need in layer.needs if (finding := need(settings)).verdict != "ok"]
        if lacking:
            texts = tuple(f"{finding.what}: {finding.text}; {finding.cure}" for finding in lacking)
            yield Outcome(name, "left out", left_out=texts)
            continue
        say(click.style(f"\n── {name}: {layer.what}", bold=True))
        began = time.monotonic()
        passed, skipped = _run_layer(layer, settings, as_json)
        seconds = time.monotonic() - began
        yield Outcome(name, "passed" if passed else "failed", seconds, _told(skipped, False), _told(skipped, True))


def _told(skipped: Mapping[str, int], exempt: bool) -> tuple[str, ...]:
    return tuple(f"{count} skipped: {reason}" for reason, count in skipped.items() if (reason in EXEMPT) is exempt)


def _run_layer(layer: Layer, settings: Settings, as_json: bool) -> tuple[bool, Mapping[str, int]]:
    if not layer.paths:
        results = [_call(command, settings, as_json) for command in layer.commands]
        return not any(results), {}
    paths = [path for path in layer.paths if (settings.project / path).is_dir()]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        spread = ("-n", "auto", "--dist", "loadfile") if layer.is_parallel else ()
        words = ("python", "-m", "pytest", "-q", *spread, f"--junitxml={report}", *paths)
        status = _call(words, settings, as_json)
        return status == 0, skipped_in(report)


def _call(command: Sequence[str], settings: Settings, as_json: bool) -> int:
    folder = settings.project
    program, *rest = command
    if program.startswith("web:"):
        program, folder = program.removeprefix("web:"), folder / "web_client"
    words = [sys.executable, "-P", "-m", "hopsack.cli"] if program == "hopsack" else [_beside_python(program)]
    # The tests choose their own ports, folders and secrets; nobody's settings may reach them.
    env = {name: value for name, value in os.environ.items() if not name.startswith("HOPSACK_")}
    sys.stdout.flush()
    out = sys.stderr.fileno() if as_json else None
    return subprocess.call([*words, *rest], cwd=folder, env=env, stdout=out, stdin=subprocess.DEVNULL)  # noqa: S603


def _beside_python(program: str) -> str:
    if program == "python":
        return sys.executable
    beside = Path(sys.executable).with_name(program)
    return str(beside) if beside.exists() else program


def skipped_in(report: Path) -> Mapping[str, int]:
    """The reasons for which tests of one pytest run skipped themselves, from its JUnit file, and how many did."""
    import xml.etree.ElementTree as ET

    try:
        tree = ET.parse(report)  # noqa: S314  written by the pytest we have just run
    except (OSError, ET.ParseError):
        return {}
    return Counter(skip.get("message", "") for skip in tree.iter("skipped") if skip.get("type") != "pytest.xfail")


def _summarise(outcomes: Sequence[Outcome], strict: bool, as_json: bool) -> None:
    if as_json:
        for outcome in outcomes:
            click.echo(to_json(outcome.to_json()))
        return
    say("")
    width = max(len(outcome.layer) for outcome in outcomes)
    for outcome in outcomes:
        colour = {"passed": "green", "failed": "red", "left out": "yellow"}[outcome.verdict]
        seconds = f"{outcome.seconds:.1f} s" if outcome.verdict != "left out" else ""
        say(f"{outcome.layer.ljust(width)}  {click.style(outcome.verdict.ljust(8), fg=colour)}  {seconds}".rstrip())
        for text in outcome.left_out:
            say(f"{' ' * width}  {text}")
        for text in outcome.exempt:
            say(f"{' ' * width}  {click.style('exempt', fg='yellow')}: {text}")
    failed = [outcome.layer for outcome in outcomes if outcome.is_failure(strict)]
    partly = [outcome.layer for outcome in outcomes if outcome.left_out]
    exempt = [outcome.layer for outcome in outcomes if outcome.exempt]
    if failed:
        say(click.style(f"\nfailed: {', '.join(failed)}", fg="red"))
    else:
        say(
            click.style("\nall that ran has passed", fg="green")
            + (f"; left out: {', '.join(partly)}" if partly else "")
            + (f"; exempt: a part of {', '.join(exempt)}" if exempt else "")
        )
