"""``hopsack up``: the node and the services, in the foreground or left alone.

Left alone (``--detach``) is the same program started once more in a session of its own. It reports to the one that
started it by one line of JSON on a pipe, ``{"ready": …}`` or ``{"error": …, "exit": …}``; a pipe that closes without a
line is a crash. Both forms write ``run.json`` and one log per program; see :mod:`hopsack.supervise`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from hopsack.cli.exits import Ended, Exit, describe, exit_of
from hopsack.cli.lines import readable
from hopsack.cli.main import json_option, local_options, own_name, settings_from
from hopsack.cli.output import for_people, say, to_json
from hopsack.cli.screen import BY_US, STARTED, Screen, banner
from hopsack.errors import LocalError
from hopsack.settings import Settings
from hopsack.supervise import logs, state
from hopsack.supervise.machine import Finish, Supervisor
from hopsack.supervise.ports import check_free
from hopsack.supervise.programs import (
    MAILBOX,
    NODE,
    Launch,
    find_services,
    launch_mailbox,
    launch_node,
    launch_service,
)
from hopsack.supervise.shell import Supervision

REPORT_WITHIN = 90.0
"""Seconds that ``--detach`` waits for the report; the supervisor itself gives up on a program long before."""

LAST_WORDS = 12
"""Lines that are shown of a program that failed."""


@click.command(short_help="Start the node and the services, and look after them.")
@click.option("--detach", "-d", is_flag=True, help="Return when all is ready, and leave it running.")
@click.option("--services", type=click.Path(path_type=Path), help="The folder of the services. [services]")
@click.option("--no-services", is_flag=True, help="Start the node alone.")
@click.option("--host", help="The interface to listen on. [HOPSACK_HOST; 127.0.0.1]")
@click.option("--port", help="The HTTP port; 0 is any free one. [HOPSACK_PORT; 8080]")
@click.option("--rawsocket-port", help="The port for services. [HOPSACK_RAWSOCKET_PORT; 8081]")
@click.option("--schemas", metavar="DIR", help="The contracts. [HOPSACK_SCHEMAS; schemas]")
@click.option("--web", metavar="DIR", help="What is served at /. [HOPSACK_WEB; web_client/dist]")
@click.option("--report-fd", type=int, hidden=True)
@local_options
@json_option
def up(
    detach: bool, services: Path | None, no_services: bool, report_fd: int | None, as_json: bool, **given: Any
) -> None:
    """Start the node and the services, and look after them.

    Every folder below --services with a service.py is one service. What ends is started again, after a delay that
    grows to 10 s. Ctrl-C ends everything within 5 s.
    """
    settings = settings_from(**given)
    folder = None if no_services else (services or settings.project / "services").absolute()
    if detach:
        _detach(settings, as_json, data=given.get("data"))
    elif report_fd is not None:
        _run_reporting(settings, folder, report_fd)
    else:
        _run_here(settings, folder, as_json, data=given.get("data"))


def _run_here(settings: Settings, folder: Path | None, as_json: bool, data: str | None) -> None:
    def show_ready(failing: tuple[str, ...], run: state.RunState) -> bool:
        if for_people(as_json):
            click.echo(banner(run, settings, failing, own_name(), data, detached=False))
        else:
            click.echo(to_json(_ready_facts(run, failing)))
            sys.stdout.flush()
        return True

    screen = Screen(settings, show_ready, echo=True)
    finish = _supervise(settings, folder, screen)
    if finish.reason:
        raise Ended(finish.reason, finish.status)
    if sys.stderr.isatty():
        say("hopsack: everything has ended")


def _supervise(settings: Settings, folder: Path | None, screen: Screen) -> Finish:
    hold = state.hold(settings.data)
    try:
        _check_fitness(settings)
        launches = _launches(settings, folder, screen.remark)
        check_free(settings.host, settings.port, "HOPSACK_PORT")
        if settings.rawsocket_path is None:
            check_free(settings.host, settings.rawsocket_port, "HOPSACK_RAWSOCKET_PORT")
        names = {kind: [one.name for one in launches if one.kind == kind] for kind in ("service", "aside")}
        screen.begin([launch.name for launch in launches])
        machine = Supervisor(NODE, names["service"], random.random, names["aside"])  # jitter, not secrecy
        return asyncio.run(Supervision(launches, machine, screen).run())
    finally:
        screen.end()
        state.forget(settings.data)
        os.close(hold)


def _check_fitness(settings: Settings) -> None:
    """Before anything is started: the node would refuse, and be looked after for nothing.

    :raises Unfit: this is no configuration for production. :raises ContractsInvalid: there are faults in the contracts.
    """
    if settings.env == "prod":
        from hopsack import production
        from hopsack.contracts import load

        for warning in production.check(settings, load(settings.schemas)):  # the node is not told the file
            say(f"hopsack: {warning}")


def _launches(settings: Settings, folder: Path | None, remark: Callable[[str], None]) -> list[Launch]:
    from hopsack import tokens

    secret = settings.secret()

    def token(name: str) -> str:
        return tokens.mint(secret, sub=name, role="service")

    found = find_services(folder) if folder is not None else []
    return [
        launch_node(settings, os.environ),
        *(launch_service(path, settings, os.environ, token) for path in found),
        *_mailbox(settings, [path.name for path in found], remark),
    ]


def _mailbox(settings: Settings, services: Sequence[str], remark: Callable[[str], None]) -> list[Launch]:
    """The mailbox that invitations go through, where one is wanted and can be had. All else goes on without it."""
    if settings.mailbox_port == 0 or settings.given_mailbox is not None or MAILBOX in services:
        return []
    from hopsack.cli.mailbox import PACKAGE, is_installed

    if not is_installed():
        also = "HOPSACK_MAILBOX_PORT=0 says that none is wanted"
        remark(f"no mailbox for invitations: it needs `pip install '{PACKAGE}'`; {also}")
        return []
    try:
        check_free(settings.host, settings.mailbox_port, "HOPSACK_MAILBOX_PORT")
    except LocalError as error:
        remark(f"no mailbox for invitations: {error}")
        return []
    return [launch_mailbox(settings, os.environ)]


def _ready_facts(run: state.RunState, failing: tuple[str, ...]) -> dict[str, Any]:
    return {
        "ready": not failing,
        "http": run.http,
        "rawsocket": run.rawsocket,
        "pid": run.pid,
        "programs": [program.name for program in run.programs if program.kind != "aside"],
        "failing": list(failing),
    }


# ----- left alone


def _run_reporting(settings: Settings, folder: Path | None, descriptor: int) -> None:
    """The second process of ``--detach``: nobody reads its stdout, and its reader waits at the pipe."""
    report = os.fdopen(descriptor, "w")

    def tell(facts: dict[str, Any]) -> None:
        if not report.closed:
            report.write(to_json(facts) + "\n")
            report.close()

    def show_ready(failing: tuple[str, ...], run: state.RunState) -> bool:
        if failing:
            tell({"error": {"message": f"not ready: {', '.join(failing)}"}, "exit": Exit.FAILURE, "of": list(failing)})
            return False
        tell({"ready": _ready_facts(run, failing)})
        return True

    try:
        finish = _supervise(settings, folder, Screen(settings, show_ready, echo=False))
    except Exception as error:
        tell({"error": describe(error), "exit": exit_of(error), "of": []})
        raise
    if finish.reason:
        tell({"error": {"message": finish.reason}, "exit": finish.status, "of": [NODE]})


def _detach(settings: Settings, as_json: bool, data: str | None) -> None:
    running = state.running(settings.data)
    if running is not None:
        raise state.AlreadyRunning(settings.data, running)
    report = _ask_for_report(settings)
    if "error" in report:
        raise _failure(report, settings)
    run = state.read(settings.data)
    if for_people(as_json) and run is not None:
        click.echo(banner(run, settings, (), own_name(), data, detached=True))
    else:
        click.echo(to_json(report["ready"]))


def _ask_for_report(settings: Settings) -> dict[str, Any]:
    reading, writing = os.pipe()
    words = [word for word in sys.argv[1:] if word not in ("--detach", "-d")]
    crash = settings.data / "logs" / "up.err"
    try:
        crash.parent.mkdir(parents=True, exist_ok=True)
        stderr = crash.open("wb")
    except OSError as error:
        raise Ended(f"cannot write to the data folder {settings.data}: {error.strerror}", Exit.FAILURE) from error
    with stderr:
        child = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", "hopsack.cli", *words, "--report-fd", str(writing)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            pass_fds=[writing],
            start_new_session=True,
        )
    os.close(writing)
    try:
        line = _read_line(reading)
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        raise
    if line:
        facts: dict[str, Any] = json.loads(line)
        if "error" in facts:
            child.wait()  # it has little left to do, and whoever tries again at once must find the folder free
        if crash.stat().st_size == 0:
            crash.unlink()
        return facts
    what = "the supervisor crashed"
    if child.poll() is None and line is None:
        child.terminate()
        what = f"nothing is ready after {REPORT_WITHIN:.0f} s"
    said = crash.read_text(errors="replace").splitlines()[-8:]
    return {"error": {"message": "\n".join([what, *said])}, "exit": Exit.FAILURE, "of": [NODE]}


def _read_line(descriptor: int) -> str | None:
    """The report; empty if its writer crashed, ``None`` if it is not there in time."""
    import select

    with os.fdopen(descriptor) as pipe:
        ready, _, _ = select.select([pipe], [], [], REPORT_WITHIN)
        return pipe.readline() if ready else None


def _failure(report: dict[str, Any], settings: Settings) -> Ended:
    lines = [f"{name}: {line}" for name in report["of"] for line in _last_words(settings, name)]
    facts = report["error"]
    return Ended(facts["message"], int(report["exit"]), facts.get("advice"), lines=lines)


def _last_words(settings: Settings, name: str) -> list[str]:
    """What a program wrote in its last life, the end of it."""
    texts = [line.text for line in logs.read(settings.data / "logs", [name], last=200)]
    began = max((index for index, text in enumerate(texts) if text.startswith(STARTED)), default=-1)
    life = [text for text in texts[began + 1 :] if not text.startswith(BY_US)]
    return [click.unstyle(line) for text in life for line in readable(text)][-LAST_WORDS:]
