"""``hopsack pub``, ``sub`` and ``call``: the fabric by hand and from shell scripts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import stat
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from hopsack.cli.client import joined, remote_settings, run
from hopsack.cli.exits import DeadlinePassed, Exit
from hopsack.cli.main import json_option, own_name, remote_options
from hopsack.cli.output import emit, for_people, plain, say, to_json
from hopsack.cli.token import Duration
from hopsack.errors import Invalid, RemoteError, UsageError
from hopsack.settings import Settings

if TYPE_CHECKING:
    from hopsack.connection import Connection
    from hopsack.resuming import Recovery
    from hopsack.session import Event
    from hopsack.subscription import Subscription

Match = Literal["exact", "prefix", "wildcard"]


# ----- pub


@click.command(short_help="Publish to a topic.")
@click.argument("topic")
@click.argument("payload", required=False, metavar="[JSON|-]")
@click.option(
    "--key", metavar="KEY", help="A name for this event: of several with one name a stream takes the first, for 120 s."
)
@remote_options
@json_option
def pub(topic: str, payload: str | None, key: str | None, as_json: bool, **given: Any) -> None:
    """Publish to a topic: one JSON value, or one a line from stdin where it is a pipe or JSON is "-".

    Each event is acknowledged by the node before the next is sent, so that exit code 0 means that all were accepted.

    \b
      hopsack pub chat.room.kitchen '{"by": "me", "text": "tea?"}'
      hopsack sub chat.room.kitchen --json | jq -c .data | hopsack pub chat.room.hall
    """
    settings = remote_settings(**given)
    if payload is None and not _is_fed():
        values: Iterable[Any] = [None]
    elif payload in (None, "-"):
        if key is not None:
            raise click.UsageError("--key names one event: it cannot be given with those of a pipe")
        values = _values(sys.stdin)
    else:
        values = [_value(payload, f"{own_name()} pub {shlex.quote(topic)}")]
    count = run(_publish(settings, topic, values, key))
    if for_people(as_json) and sys.stderr.isatty():
        say(f"hopsack: {count} published to {plain(topic)}")


async def _publish(settings: Settings, topic: str, values: Iterable[Any], key: str | None) -> int:
    count = 0
    async with joined(settings) as connection:
        source = iter(values)
        # A pipe may be silent for hours: it is read in a thread, so that the connection stays alive meanwhile.
        while (item := await asyncio.to_thread(next, source, _END)) is not _END:
            try:
                await connection.publish(topic, item, key=key)
            except RemoteError as error:
                error.where = f"{error.where or topic}, event {count + 1}" if count else error.where
                raise
            count += 1
    return count


_END = object()


def _is_fed() -> bool:
    """Whether stdin is a pipe or a file, and not a terminal or /dev/null."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def _values(lines: Iterable[str]) -> Iterator[Any]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _value_of_line(number, line)


def _value_of_line(number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise UsageError(f"line {number} of stdin is not JSON: {error}\n{_short(line.strip())}") from error


def _value(text: str, command: str) -> Any:
    """The JSON value of an argument; the commonest mistake is quoting, so the error shows how it is done."""
    try:
        return json.loads(text)
    except ValueError as error:
        looks_composed = text.lstrip()[:1] in ("{", "[")
        right = """'{"name": "value"}'""" if looks_composed else shlex.quote(json.dumps(text, ensure_ascii=False))
        how = "names and strings stand in double quotes, the whole in single ones" if looks_composed else "a string"
        raise UsageError(f"{_short(text)} is not JSON: {error}\n{how}:  {command} {right}") from error


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"


# ----- sub


@click.command(short_help="Print the events of topics.")
@click.argument("topics", nargs=-1, required=True, metavar="TOPIC...")
@click.option(
    "--match",
    type=click.Choice(["exact", "prefix", "wildcard"]),
    default="exact",
    help='"prefix": everything below "host."; "wildcard": an empty component is any, as in "watch..changed".',
)
@click.option("--after", metavar="POSITION", help="Begin after this position of a stream; one topic.")
@click.option("--last", type=click.IntRange(1), metavar="N", help="Begin with the last N events of a stream.")
@click.option("--since", type=Duration(), metavar="TIME", help="Begin so long ago in a stream: 90s, 15m, 1h, 7d.")
@click.option("--count", "-n", type=click.IntRange(1), metavar="N", help="End after N events.")
@click.option("--timeout", type=float, metavar="S", help="End after S seconds; exit code 6 if --count is not reached.")
@remote_options
@json_option
def sub(
    topics: tuple[str, ...],
    match: Match,
    after: str | None,
    last: int | None,
    since: float | None,
    count: int | None,
    timeout: float | None,
    as_json: bool,
    **given: Any,
) -> int:
    """Print the events of topics as they come, until Ctrl-C.

    In a pipe, each is one line: {"topic": …, "data": …}, with "position" where the topic is a stream. A connection that
    is lost is made again; a stream then goes on where it was.

    \b
      hopsack sub chat.room.hall --last 10
    """
    beginning = _Beginning(after, last, None if since is None else time.time() - since)
    beginning.check(topics, match)
    settings = remote_settings(**given)
    try:
        run(_subscribe(settings, topics, match, beginning, _Printer(count, people=for_people(as_json)), timeout))
    except KeyboardInterrupt:
        return Exit.OK
    return Exit.OK


@dataclass(frozen=True, slots=True)
class _Beginning:
    """Where to begin in a stream: after a position, with the ``last`` so many events, or ``since`` a Unix time."""

    after: str | None
    last: int | None
    since: float | None

    def check(self, topics: tuple[str, ...], match: Match) -> None:
        given = sum(one is not None for one in (self.after, self.last, self.since))
        if given > 1:
            raise click.UsageError("--after, --last and --since are three ways to begin: give one of them")
        if given and match != "exact":
            raise click.UsageError(f"a pattern has no one beginning: name the topics, without --match {match}")
        if self.after is not None and len(topics) > 1:
            raise click.UsageError("--after is a position of one topic")

    async def subscribe(self, connection: Connection, topic: str, match: Match, printer: _Printer) -> Subscription[Any]:
        """Print what was, and subscribe behind it: nothing lies between."""
        after = self.after
        if self.last is not None or self.since is not None:
            history = await connection.history(topic, last=self.last, since=self.since)
            printer.print_all(history)
            after = history.position
        return await connection.subscribe(topic, match=match, after=after, on_recovery=_tell_loss)


def _tell_loss(recovery: Recovery) -> None:
    if not recovery.recovered and recovery.reason not in ("live", "snapshot"):
        count = "some" if recovery.missed is None else str(recovery.missed)
        say(f"hopsack: {count} events of {plain(recovery.topic)} are gone: {plain(str(recovery.reason))}")


class _Printer:
    """Prints events until there were enough. A reader that is slow makes us slow, and the node slow to us."""

    def __init__(self, count: int | None, *, people: bool) -> None:
        self._left = count
        self._people = people
        self.is_counting = count is not None
        self.enough = asyncio.Event()

    async def follow(self, subscription: Subscription[Any]) -> None:
        async for event in subscription:
            if self.enough.is_set():
                return
            self._print(event)
            if not subscription.waiting:
                sys.stdout.flush()

    def print_all(self, events: Iterable[Event[Any]]) -> None:
        for event in events:
            if not self.enough.is_set():
                self._print(event)
        sys.stdout.flush()

    def _print(self, event: Event[Any]) -> None:
        if self._people:
            deleted = click.style(" deleted", fg="red") if event.deleted else ""
            click.echo(click.style(plain(event.topic), fg="cyan") + deleted + " " + plain(to_json(event.data)))
        else:
            position = {} if event.position is None else {"position": event.position}
            deleted_ = {"deleted": True} if event.deleted else {}
            line = {"topic": event.topic, **position, "data": event.data, **deleted_}
            sys.stdout.write(to_json(line) + "\n")
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                self.enough.set()


async def _subscribe(
    settings: Settings,
    topics: tuple[str, ...],
    match: Match,
    beginning: _Beginning,
    printer: _Printer,
    seconds: float | None,
) -> None:
    async with joined(settings) as connection:
        subscriptions = [await beginning.subscribe(connection, topic, match, printer) for topic in topics]
        if sys.stderr.isatty():
            say(click.style("hopsack: listening; Ctrl-C ends it", dim=True))
        readers = [asyncio.ensure_future(printer.follow(subscription)) for subscription in subscriptions]
        enough = asyncio.ensure_future(printer.enough.wait())
        # A reader that ends before there was enough was refused: the connection is over.
        done, pending = await asyncio.wait([enough, *readers], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        for task in done:
            task.result()
        sys.stdout.flush()
        if not done and printer.is_counting:
            raise DeadlinePassed(f"not enough events within {seconds:g} s")


# ----- call


@click.command(short_help="Call a procedure.")
@click.argument("procedure")
@click.argument("input", required=False, metavar="[JSON|-]")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="S",
    help="Seconds that it may take; exit code 6 if that is not enough.",
)
@click.option("--key", metavar="KEY", help="A name for this call: of several with one name, one is executed.")
@click.option("--wait", type=click.FloatRange(0), metavar="S", help="Wait so long for somebody who serves it.")
@click.option("--retry", type=click.IntRange(0), metavar="N", help="Try an idempotent procedure so often again.")
@click.option("--progress", is_flag=True, help="Print what comes before the result, too; the time is for each of them.")
@click.option("--inputs", is_flag=True, help="Further inputs, one JSON value a line from stdin, as they are taken.")
@remote_options
@json_option
def call(
    procedure: str,
    input: str | None,
    timeout: float,
    key: str | None,
    wait: float | None,
    retry: int | None,
    progress: bool,
    inputs: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Call a procedure and print its result, which is one JSON value.

    Without --wait and --retry, it is as the contract says. With --progress or --inputs there is a line for each
    progressive result, {"progress": …}, and the last line is {"result": …}.

    \b
      hopsack call host.describe '{"host": "kitchen"}'
      hopsack call shop.order '{"article": "tea"}' --key order-17 --wait 5
      hopsack call files.walk '{"path": "."}' --progress | jq .progress.path
    """
    settings = remote_settings(**given)
    if inputs and input == "-":
        raise click.UsageError("stdin is either the input or the further inputs")
    text = sys.stdin.read() if input == "-" else input
    value = None if text is None else _value(text, f"{own_name()} call {shlex.quote(procedure)}")
    if progress or inputs:
        if key is not None or retry is not None:
            raise click.UsageError("--key and --retry are for calls that have one result")
        lines = _given_lines() if inputs else None
        run(_iterate(settings, procedure, value, timeout, wait, lines, as_json))
        return
    result = run(_call(settings, procedure, value, timeout, key=key, wait=wait, retry=retry))
    if for_people(as_json):
        from hopsack.cli.output import pretty

        click.echo(pretty(result))
    else:
        emit(result, as_json)


async def _call(settings: Settings, procedure: str, value: Any, seconds: float, **terms: Any) -> Any:
    async with joined(settings) as connection:
        return await connection.call(procedure, value, timeout=seconds, **terms)


async def _iterate(
    settings: Settings,
    procedure: str,
    value: Any,
    seconds: float,
    wait: float | None,
    inputs: AsyncIterator[Any] | None,
    as_json: bool,
) -> None:
    async with (
        joined(settings) as connection,
        connection.iterate(procedure, value, inputs=inputs, timeout=seconds, wait=wait) as iteration,
    ):
        async for one in iteration:
            emit({"progress": one}, as_json=True)
        emit({"result": iteration.result}, as_json)


async def _given_lines() -> AsyncIterator[Any]:
    """The JSON values on stdin, each when it is wanted."""
    number = 0
    while line := await _next_line():
        number += 1
        if line.strip():
            yield _value_of_line(number, line)


async def _next_line() -> str:
    """In a thread that nobody waits for: when the call has ended, somebody may still think about the next line."""
    from hopsack.keeper import settle

    loop = asyncio.get_running_loop()
    came: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        line = sys.stdin.readline()
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, came, line)

    threading.Thread(target=read, daemon=True).start()
    return await came


def ask(procedure: str, given: dict[str, Any], payload: Any = None) -> Any:
    """Call one of the node's own procedures for a verb that prints what it says.

    :raises UsageError: what was typed does not fit; a person has typed words, and knows no payload with fields.
    """
    try:
        return run(_call(remote_settings(**given), procedure, payload, 10.0))
    except Invalid as error:
        if not error.path:
            raise
        raise UsageError(f"{error.path.lstrip('/')} {error.message}") from error


def can_join(given: dict[str, Any]) -> None:
    """See whether a session can be opened.

    :raises Unreachable: it cannot.
    """

    async def join() -> None:
        async with joined(remote_settings(**given)):
            pass

    run(join())
