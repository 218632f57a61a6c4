"""What ``hopsack up`` shows and writes down while it runs: prefixed lines, logs, ``run.json``, the ready banner."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import click

from hopsack.cli.lines import readable
from hopsack.cli.output import plain, say
from hopsack.settings import Settings
from hopsack.supervise.logs import LogFile
from hopsack.supervise.machine import Program
from hopsack.supervise.state import ProgramState, RunState, identify, write

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")

BY_US = "hopsack: "
"""What a line in a program's log begins with that is ours and not the program's."""

STARTED = f"{BY_US}started"

ShowReady = Callable[[tuple[str, ...], RunState], bool]


class Screen:
    """The audience of one supervision.

    :param show_ready: called when all is ready or known to fail; what it returns is what the supervision is told.
    :param echo: whether lines go to stderr too, and not only to the logs.
    """

    def __init__(self, settings: Settings, show_ready: ShowReady, *, echo: bool) -> None:
        self._settings = settings
        self._show_ready = show_ready
        self._echo = echo
        self._logs: dict[str, LogFile] = {}
        self._prefixes: dict[str, str] = {}
        me = identify(os.getpid())
        self._run = RunState(
            pid=os.getpid(),
            began=me.began if me else "",
            since=time.time(),
            state="starting",
            project=str(settings.project),
        )
        self._is_settled = False
        self._born: dict[int, str] = {}

    def begin(self, names: Sequence[str]) -> None:
        """Name what is about to be started, the node first."""
        width = max(len(name) for name in names)
        for index, name in enumerate(names):
            colour = "bright_black" if index == 0 else _COLOURS[(index - 1) % len(_COLOURS)]
            self._prefixes[name] = click.style(f"{name.ljust(width)} │ ", fg=colour)
            self._logs[name] = LogFile(self._settings.data / "logs" / f"{name}.log")
        if self._echo and sys.stderr.isatty():
            node, *services = names
            say(f"hopsack: starting the {node}" + (f", then {', '.join(services)}" if services else ""))

    def remark(self, text: str) -> None:
        """Say something that is about no program."""
        if self._echo:
            say(f"hopsack: {text}")

    def end(self) -> None:
        for log in self._logs.values():
            log.close()

    # -- Audience

    def line(self, name: str, text: str) -> None:
        self._logs[name].write(text, time.time())
        self._show(name, readable(text) if sys.stderr.isatty() else [plain(text)])

    def told(self, name: str, text: str) -> None:
        self._logs[name].write(f"{BY_US}{text}", time.time())
        self._show(name, [click.style(text, fg="yellow")])

    def changed(self, programs: Mapping[str, Program], node: Mapping[str, Any], stopping: bool) -> None:
        if stopping and self._run.state != "stopping" and self._echo and sys.stderr.isatty():
            say("hopsack: ending …")
        run = RunState(
            pid=self._run.pid,
            began=self._run.began,
            since=self._run.since,
            state=self._state_of(programs, stopping),
            project=self._run.project,
            http=node.get("http"),
            rawsocket=node.get("rawsocket"),
            programs=tuple(self._program_state(program) for program in programs.values()),
        )
        if run != self._run:
            self._run = run
            with suppress(OSError):  # a full disk costs the state file, not the fabric
                write(self._settings.data, run)

    def settled(self, failing: tuple[str, ...], node: Mapping[str, Any]) -> bool:
        self._is_settled = True
        return self._show_ready(failing, self._run)

    def _show(self, name: str, lines: Sequence[str]) -> None:
        try:
            for line in lines if self._echo else ():
                say(self._prefixes[name] + line)
        except OSError:  # the terminal was closed, or the reader of the pipe has left: the logs still have it
            self._echo = False

    # -- run.json

    def _state_of(self, programs: Mapping[str, Program], stopping: bool) -> str:
        if stopping:
            return "stopping"
        if all(program.state == "ready" for program in programs.values() if program.kind != "aside"):
            return "ready"
        return "failing" if self._is_settled else "starting"

    def _program_state(self, program: Program) -> ProgramState:
        pid = program.pid
        if pid is not None and pid not in self._born:
            who = identify(pid)
            self._born[pid] = who.began if who else ""
            self._logs[program.name].write(f"{STARTED}, process {pid}", time.time())
        return ProgramState(
            name=program.name,
            kind=program.kind,
            state=program.state,
            pid=pid,
            began=self._born.get(pid) if pid is not None else None,
            since=_wall(program.since),
            restarts=program.restarts,
            last_exit=program.last_exit,
        )


def _wall(moment: float | None) -> float | None:
    """A moment of the loop's clock as one of the wall's, whole seconds so that it does not flutter."""
    if moment is None:
        return None
    return float(round(time.time() - (asyncio.get_running_loop().time() - moment)))


# ----- the banner


def banner(
    run: RunState, settings: Settings, failing: Sequence[str], name: str, data: str | None, *, detached: bool
) -> str:
    """What a person reads when all is ready: where it is, what runs, and two things to try.

    :param name: how the person calls the command line.
    :param data: the ``--data`` that was given, which the commands shown need too.
    """
    headline = "Hopsack is up." if not failing else f"Hopsack is up, without {', '.join(failing)}."
    is_ours = settings.web == settings.client
    missing = f"{settings.web} is not built" if is_ours else f"{settings.web} has no index.html"
    pages = "" if (settings.web / "index.html").is_file() else f"   (no pages yet: {missing})"
    facts = [
        ("dashboard" if is_ours else "your pages", f"{run.http}/{pages}"),
        ("services", str(run.rawsocket)),
        ("running", ", ".join(program.name for program in run.programs if program.state == "ready")),
        ("logs", str(settings.data / "logs")),
    ]
    also = f" --data {data}" if data else ""
    commands = [(f"{name} {words}{also}", what) for words, what in _to_try(run, detached=detached)]
    width = max(len(command) for command, _ in commands)
    lines = [
        "",
        click.style(headline, bold=True, fg="yellow" if failing else "green"),
        "",
        *(f"  {title.ljust(11)}{text}" for title, text in facts),
        "",
        click.style("Try next", bold=True) + ("" if detached else ", in another terminal"),
        *(f"  {command.ljust(width)}   {what}" for command, what in commands),
        "",
        "" if detached else "Ctrl-C ends everything.\n",
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _to_try(run: RunState, *, detached: bool) -> list[tuple[str, str]]:
    if any(program.name == "host" for program in run.programs):
        first = ("sub host.metrics", "this machine's load, every second")
    else:
        first = ("topics ls", "what can be published and read")
    if detached:
        return [first, ("down", "ends everything")]
    return [first, ("procedures ls", "what can be called, and who answers")]
