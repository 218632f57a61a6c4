"""``down``, ``status``, ``logs`` and ``wait``: what can be done with an ``up`` that runs elsewhere on this machine."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from hopsack.cli.exits import DeadlinePassed, Exit, Unreachable
from hopsack.cli.lines import readable
from hopsack.cli.main import json_option, local_options, own_name, remote_options, settings_from
from hopsack.cli.output import Column, emit_rows, for_people, say, to_json
from hopsack.errors import LocalError, UsageError
from hopsack.settings import Settings
from hopsack.supervise import logs as log_files
from hopsack.supervise import state
from hopsack.supervise.state import Identity, RunState

DOWN_WITHIN = 8.0
"""Seconds; the supervisor promises five."""

LOOK_EVERY = 0.25
"""Seconds between two looks at log files and at readiness."""


# ----- down


@click.command(short_help="End what `up --detach` started.")
@click.option("--timeout", type=float, default=DOWN_WITHIN, show_default=True, help="Seconds to wait for the end.")
@local_options
def down(timeout: float, **given: Any) -> None:
    """End what `up` started on this data folder, and wait until it has ended."""
    settings = settings_from(**given)
    run = state.read(settings.data)
    if run is None:
        say(f"hopsack: nothing runs on {settings.data}")
        return
    began = time.monotonic()
    was_running = run.identity.send(signal.SIGTERM)
    if was_running and not run.identity.wait(timeout):
        raise LocalError(f"process {run.pid} has not ended after {timeout:.0f} s")
    left = _end_orphans(run, timeout - (time.monotonic() - began))
    if left:
        raise LocalError(f"still running: {', '.join(left)}")
    state.forget(settings.data)
    say(f"hopsack: {'everything has ended' if was_running else f'nothing ran any more on {settings.data}'}")


def _end_orphans(run: RunState, patience: float) -> list[str]:
    """End programs that outlived a killed supervisor; whoever has their number by now is left alone."""
    orphans: list[tuple[str, Identity]] = []
    for program in run.programs:
        who = program.identity
        if who is not None and who.send(signal.SIGTERM):
            orphans.append((program.name, who))
    deadline = time.monotonic() + max(patience, 1.0)
    for _, who in orphans:
        if not who.wait(max(0.0, deadline - time.monotonic())):
            who.send(signal.SIGKILL)
    return [f"{name} (process {who.pid})" for name, who in orphans if not who.wait(1.0)]


# ----- status

_COLUMNS = (
    Column("name", "name"),
    Column("state", "state"),
    Column("pid", "pid", "right"),
    Column("uptime", "uptime", "right"),
    Column("restarts", "restarts", "right"),
    Column("last_exit", "last exit", "right"),
)


@click.command(short_help="How the node and the services are.")
@local_options
@json_option
def status(as_json: bool, **given: Any) -> int:
    """How the node and the services are. Exit code 1 if nothing runs or something is not ready."""
    settings = settings_from(**given)
    run = state.running(settings.data)
    if run is None:
        last = state.read(settings.data)
        died = f" (process {last.pid}, which was here last, ended without a word)" if last else ""
        say(f"hopsack: nothing runs on {settings.data}{died}; `{own_name()} up` starts it")
        return Exit.FAILURE
    rows = [_status_row(program, time.time()) for program in run.programs]
    emit_rows(rows, _COLUMNS, as_json, "nothing")
    if for_people(as_json):
        say(f"\n{run.http or 'the node is starting'}   up for {duration(time.time() - run.since)}, process {run.pid}")
    return Exit.OK if run.state == "ready" else Exit.FAILURE


def _status_row(program: state.ProgramState, now: float) -> dict[str, Any]:
    uptime = now - program.since if program.since is not None else None
    return {
        "name": program.name,
        "kind": program.kind,
        "state": program.state,
        "pid": program.pid,
        "uptime": _Uptime(uptime) if uptime is not None else None,
        "restarts": program.restarts,
        "last_exit": program.last_exit,
    }


class _Uptime(float):
    """Seconds: a number in JSON, words in a table."""

    def __new__(cls, seconds: float) -> _Uptime:
        return super().__new__(cls, round(max(0.0, seconds), 1))

    def __str__(self) -> str:
        return duration(self)


def duration(seconds: float) -> str:
    """``5 s``, ``3 min 20 s``, ``2 h 5 min``, ``4 d 3 h``: two units are enough."""
    whole = int(max(0.0, seconds))
    units = [("d", whole // 86400), ("h", whole // 3600 % 24), ("min", whole // 60 % 60), ("s", whole % 60)]
    while len(units) > 1 and units[0][1] == 0:
        del units[0]
    return " ".join(f"{number} {unit}" for unit, number in units[:2] if number) or "0 s"


# ----- logs


@click.command(short_help="What they wrote.")
@click.argument("services", nargs=-1)
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until all has ended or Ctrl-C.")
@click.option(
    "--last", "-n", type=click.IntRange(0), default=100, show_default=True, help="How many lines to begin with."
)
@local_options
@json_option
def logs(services: tuple[str, ...], follow: bool, last: int, as_json: bool, **given: Any) -> None:
    """What the node and the services wrote, all together or of those named."""
    settings = settings_from(**given)
    folder = settings.data / "logs"
    names = log_files.names(folder)
    for name in services:
        if name not in names:
            raise UsageError(f"there is no log of {name!r}: {_known(names, folder)}")
    chosen = list(services) or names
    if not chosen:
        say(f"hopsack: {_known(names, folder)}")
        return
    followers = [log_files.Follower(folder, name) for name in chosen] if follow else []
    first = log_files.read(folder, chosen, last)
    _print_lines(first, chosen, as_json)
    if follow:
        # The followers began before the first lines were read, so that none is lost between; some are seen twice.
        _follow(followers, set(first), chosen, settings, as_json)


def _known(names: Sequence[str], folder: Path) -> str:
    return f"known are {', '.join(names)}" if names else f"nothing has been written to {folder} yet"


def _follow(
    followers: Sequence[log_files.Follower],
    seen: set[log_files.Line],
    chosen: Sequence[str],
    settings: Settings,
    as_json: bool,
) -> None:
    try:
        while True:
            # Asked before the last look, so that what was written until the end is not lost.
            goes_on = state.running(settings.data) is not None
            fresh = [line for follower in followers for line in follower.lines() if line not in seen]
            seen = set()
            _print_lines(sorted(fresh, key=lambda line: line.time), chosen, as_json)
            if not goes_on:
                return
            time.sleep(LOOK_EVERY)
    except KeyboardInterrupt:
        return


def _print_lines(lines: Iterable[log_files.Line], chosen: Sequence[str], as_json: bool) -> None:
    width = max(len(name) for name in chosen)
    for line in lines:
        if not for_people(as_json):
            click.echo(to_json({"time": line.time, "service": line.service, "text": line.text}))
            continue
        name = click.style(f"{line.service.ljust(width)} │ ", fg=_colour(line.service, chosen))
        moment = click.style(f"{_local_time(line.time)} ", dim=True)
        for text in readable(line.text):
            click.echo(moment + name + text)
    sys.stdout.flush()


def _colour(name: str, chosen: Sequence[str]) -> str:
    return ("cyan", "magenta", "green", "yellow", "blue")[chosen.index(name) % 5]


def _local_time(time_of_line: str) -> str:
    from datetime import datetime

    try:
        return datetime.fromisoformat(time_of_line).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return time_of_line


# ----- wait


@click.command(short_help="Wait until the fabric is ready.")
@click.option("--for", "what", type=click.Choice(["ready", "down"]), default="ready", show_default=True)
@click.option("--timeout", type=float, default=60.0, show_default=True, help="Seconds.")
@remote_options
def wait(what: str, timeout: float, **given: Any) -> None:
    """Wait until the fabric is ready, or down.

    Ready: what `up` runs on this data folder is ready, all of it; or else a session can be opened at the URL.
    Exit code 6 if that does not come in time.
    """
    deadline = time.monotonic() + timeout
    settings = settings_from(**given)
    if what == "down":
        run = state.running(settings.data)
        if run is not None and not run.identity.wait(timeout):
            raise DeadlinePassed(f"process {run.pid} still runs after {timeout:g} s")
        return
    for reason in _why_not_ready(given):
        if time.monotonic() >= deadline:
            raise DeadlinePassed(f"not ready after {timeout:g} s: {reason}")
        time.sleep(min(LOOK_EVERY, max(0.0, deadline - time.monotonic())))


def _why_not_ready(given: dict[str, Any]) -> Iterator[str]:
    """Look again and again; each time it is not ready, say why."""
    from hopsack.cli.talk import can_join

    while True:
        settings = settings_from(**given)
        run = state.running(settings.data) if given.get("url") is None else None
        if run is None:
            try:
                can_join(given)
                return
            except Unreachable as error:
                yield error.message
        elif run.state == "ready":
            return
        else:
            awaited = [program for program in run.programs if program.kind != "aside"]
            late = [f"{program.name} is {program.state}" for program in awaited if program.state != "ready"]
            yield ", ".join(late) or run.state
