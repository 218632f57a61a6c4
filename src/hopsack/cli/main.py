"""The group of verbs, and the one place where errors become exit codes."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

import click

from hopsack.cli.exits import Exit, describe, exit_of
from hopsack.errors import HopsackError
from hopsack.settings import Settings


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb that is not loaded yet.

    :ivar target: ``module:attribute`` below :mod:`hopsack.cli`.
    :ivar summary: for ``--help``, which loads none of them; a test compares it with the verb's own.
    """

    target: str
    summary: str


SECTIONS: Mapping[str, Mapping[str, Verb]] = {
    "Run it": {
        "up": Verb("up:up", "Start the node and the services, and look after them."),
        "down": Verb("control:down", "End what `up --detach` started."),
        "status": Verb("control:status", "How the node and the services are."),
        "logs": Verb("control:logs", "What they wrote."),
        "wait": Verb("control:wait", "Wait until the fabric is ready."),
        "node": Verb("node:node", "Run the node alone, in this process."),
        "run": Verb("run:run", "Run one folder with a service.py, in this process."),
        "drain": Verb("services:drain", "Let a service finish what it has in hand, and end."),
        "mailbox": Verb("enrol:mailbox", "Run the mailbox that invitations go through."),
    },
    "Talk to it": {
        "pub": Verb("talk:pub", "Publish to a topic."),
        "sub": Verb("talk:sub", "Print the events of topics."),
        "call": Verb("talk:call", "Call a procedure."),
    },
    "Look at it": {
        "topics": Verb("lists:topics", "The topics, and who reads them."),
        "procedures": Verb("lists:procedures", "The procedures, who serves them, and how busy they are."),
        "services": Verb("services:services", "The services that are connected, and how they are."),
        "sessions": Verb("lists:sessions", "Everybody who is connected, and who reads too slowly."),
        "limits": Verb("limits:limits", "How much clients may do."),
        "why": Verb("why:why", "Whether somebody may do something, and why."),
    },
    "Work on it": {
        "check": Verb("contracts:check", "Check the contracts."),
        "generate": Verb("contracts:generate", "Write the types that follow from the contracts."),
        "test": Verb("test:test", "Run the tests that this machine can run."),
        "token": Verb("token:token", "Make a token for somebody."),
        "keys": Verb("keys:keys", "The public keys that the node accepts."),
        "revoke": Verb("revoke:revoke", "Refuse whatever somebody has logged in with."),
        "keygen": Verb("keys:keygen", "Make a key for a service or a person."),
        "invite": Verb("enrol:invite", "Let another machine in, by a code."),
        "join": Verb("enrol:join", "Get a key accepted, by a code that somebody told you."),
        "certs": Verb("certs:certs", "Make a certificate for development."),
        "bench": Verb("bench:bench", "Measure the node against its peers."),
        "doctor": Verb("doctor:doctor", "See what this machine has and what it lacks."),
    },
}
VERBS: Mapping[str, Verb] = {name: verb for section in SECTIONS.values() for name, verb in section.items()}


class ReaderLeft(Exception):
    """Whoever reads our stdout has had enough, as in ``hopsack sub … | head``."""


class Verbs(click.Group):
    """Loads a verb when it is typed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        module, attribute = verb.target.split(":")
        command: click.Command = getattr(import_module(f"hopsack.cli.{module}"), attribute)
        _give_debug(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], VERBS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "`hopsack --help` lists them"
            raise click.UsageError(f"there is no verb {args[0]!r}: {hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderLeft from error  # click would make it exit code 1

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, verbs in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(10), verb.summary) for name, verb in verbs.items()])


def _give_debug(command: click.Command) -> None:
    """Every verb and sub-verb takes ``--debug``. :func:`main` reads it from the words: errors may precede parsing."""
    if not any(option.name == "debug" for option in command.params):
        command.params.append(
            click.Option(["--debug"], is_flag=True, expose_value=False, help="Show a traceback with an error.")
        )
    if isinstance(command, click.Group):
        for below in command.commands.values():
            _give_debug(below)


def _print_version(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        click.echo(f"hopsack {version('hopsack')}")
        ctx.exit()


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`hopsack VERB --help` explains a verb. Exit codes: 0 ok, 1 failure, 2 usage, 3 configuration invalid, "
    "4 cannot connect, 5 denied, 6 deadline passed, 7 contract broken.",
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="The version."
)
def cli() -> None:
    """Hopsack: typed topics and procedures for services and browsers.

    Data goes to stdout, talk to stderr. In a pipe, or with --json, data is one JSON value a line.
    """


# ----- what many verbs have

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one value a line, at a terminal too.")


def local_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of verbs that look at this machine."""
    return click.option("--data", metavar="DIR", help="The data folder. [HOPSACK_DATA; .hopsack]")(function)


def remote_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of verbs that connect to a node."""
    function = click.option(
        "--token", metavar="TOKEN", help="Who to be. [HOPSACK_TOKEN; the operator, on this machine]"
    )(function)
    function = click.option("--url", metavar="URL", help="The node. [HOPSACK_URL; tcp://127.0.0.1:8081]")(function)
    return local_options(function)


def settings_from(**overrides: Any) -> Settings:
    """The settings of this process: its environment, and the options that were given."""
    return Settings.from_environ(os.environ, **overrides)


def own_name() -> str:
    """How the person at the terminal calls this program, for the commands that are shown to them."""
    project = os.environ.get("HOPSACK_PROJECT", "")
    launcher = os.path.join(project, "hopsack")
    if project and os.access(launcher, os.X_OK) and os.path.isfile(launcher):
        relative = os.path.relpath(launcher)
        return min(relative if "/" in relative else f"./{relative}", launcher, key=len)
    return "hopsack"


# ----- where errors end


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one verb and exit with its code."""
    words = list(sys.argv[1:] if argv is None else argv)
    options = set(words[: words.index("--")] if "--" in words else words)
    # click takes --debug after the verb; before it, it is taken out here.
    while words and words[0] == "--debug":
        del words[0]
    try:
        status = cli.main(words, prog_name="hopsack", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(status if isinstance(status, int) else Exit.OK)
    except Exception as error:
        sys.exit(_exit_with(error, debug="--debug" in options, as_json="--json" in options))
    except KeyboardInterrupt:
        sys.exit(130)


def _exit_with(error: Exception, *, debug: bool, as_json: bool) -> int:
    match error:
        case click.Abort():
            return 130
        case ReaderLeft() | BrokenPipeError():
            # Python would complain again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return Exit.OK
        case click.exceptions.NoArgsIsHelpError():
            click.echo(error.format_message(), err=True)
            return Exit.USAGE
        case click.ClickException():
            _show_usage(error)
            return Exit.USAGE
    if debug:
        import traceback

        traceback.print_exception(error)
    show(error, as_json=as_json)
    return exit_of(error)


def _show_usage(error: click.ClickException) -> None:
    click.echo(click.style("hopsack: ", fg="red") + error.format_message(), err=True)
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    if ctx is not None and ctx.parent is not None:
        click.echo("  " + ctx.get_usage().replace("\n", " ").replace("Usage:", "usage:"), err=True)


def show(error: Exception, *, as_json: bool = False) -> None:
    """One or two clear lines on stderr, or one JSON object."""
    from hopsack.cli.output import plain, to_json

    facts = describe(error)
    if not isinstance(error, HopsackError | OSError):
        facts["message"] = f"this is a mistake in Hopsack: {type(error).__name__}: {error}"
        facts["advice"] = "the same command with --debug shows where"
    if as_json:
        click.echo(to_json({"error": facts}), err=True)
        return
    code = f" [{facts['code']}]" if "code" in facts else ""
    # What a contract finds is a sentence whose subject is the field; whoever else names one has written a whole one.
    is_field = facts.get("code") == "hopsack.invalid" and facts.get("path") is not None
    subject = f"{facts['path'] or 'the value'} " if is_field else ""
    lines = (subject + facts["message"]).splitlines() or [""]
    click.echo(click.style("hopsack: ", fg="red") + plain(lines[0]) + code, err=True)
    more = [*lines[1:], *_place_and_advice(facts)]
    for line in more:
        click.echo("  " + plain(line), err=True)


def _place_and_advice(facts: Mapping[str, Any]) -> list[str]:
    hint = facts.get("data", {}).get("retry_after")
    later = f"try again in {hint:g} s" if isinstance(hint, int | float) else None
    line = "; ".join(filter(None, [facts.get("where"), facts.get("advice"), later]))
    return [line] if line else []
