"""``topics ls``, ``procedures ls`` and ``sessions ls``: what the node tells about itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from hopsack.cli.control import duration
from hopsack.cli.lag import behind, unsent
from hopsack.cli.main import json_option, remote_options
from hopsack.cli.output import Column, emit_rows, for_people
from hopsack.cli.revoke import kick
from hopsack.cli.talk import ask

Row = Mapping[str, Any]


def _listing(
    name: str,
    summary: str,
    columns: tuple[Column, ...],
    key: str,
    empty: str,
    dress: Callable[[Row], Row] = lambda row: row,
    choose: Callable[[list[Row], tuple[Column, ...]], tuple[Column, ...]] = lambda _rows, columns: columns,
) -> click.Group:
    """A group with the one verb ``ls``.

    :param key: the field that a prefix filters by.
    :param dress: makes a row of the node's readable for a person.
    :param choose: which columns these rows need.
    """

    @click.command(short_help=summary, help=f"{summary} With PREFIX, those that begin with it.")
    @click.argument("prefix", default="")
    @remote_options
    @json_option
    def ls(prefix: str, as_json: bool, **given: Any) -> None:
        rows: list[Row] = [row for row in ask(f"hopsack.{name}.list", given) if str(row[key]).startswith(prefix)]
        rows.sort(key=lambda row: str(row[key]))
        if for_people(as_json):
            rows = [dress(row) for row in rows]
        emit_rows(rows, choose(rows, columns), as_json, f"hopsack: {empty}")

    return click.Group(name, commands={"ls": ls}, short_help=summary, help=summary)


def _session(row: Row) -> Row:
    peer = re.sub(r"^tcp[46]?:", "", row["peer"] or "-")  # tcp4:127.0.0.1:5000 is how Crossbar writes an address
    now = time.time()
    lag = {"unsent": unsent(row.get("lag")), "behind": behind(row.get("lag"), now)}
    return {**row, "since": duration(now - row["since"]), "peer": peer, **lag}


def _session_columns(rows: list[Row], columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """Where somebody is behind, that is what a person looks for; where they come from is in the JSON."""
    hidden = ("peer", "agent") if any(row["behind"] for row in rows if "behind" in row) else ("unsent", "behind")
    return tuple(column for column in columns if column.key not in hidden)


def _procedure(row: Row) -> Row:
    load = row.get("load", ())
    in_hand = sum(one["in_hand"] for one in load)
    times = [one["answers_in"] for one in load if "answers_in" in one]
    return {
        **row,
        "callees": served_by(row["callees"], load),
        "in_hand": in_hand or "",
        "waiting": row.get("waiting", ""),
        "answers_in": short_time(sum(times) / len(times)) if times else "",
    }


def served_by(callees: int, load: Sequence[Row]) -> str:
    """How many callees there are, and how many of them are not asked now."""
    if not callees:
        return "nobody"
    stalled = sum(one["stalled"] for one in load)
    shut = sum(one.get("breaker", "closed") != "closed" for one in load)
    words = (f"{count} {word}" for count, word in ((stalled, "stalled"), (shut, "shut off")) if count)
    return ", ".join((str(callees), *words))


def short_time(seconds: float) -> str:
    """Two digits of it: ``0.35 ms``, ``12 ms``, ``1.2 s``."""
    number, unit = (seconds, "s") if seconds >= 1 else (seconds * 1000, "ms")
    return f"{number:.0f} {unit}" if number >= 10 else f"{number:.2g} {unit}"


def _procedure_columns(rows: list[Row], columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """What is busy is shown where anything is; who may call then is in the JSON."""
    busy = ("in_hand", "waiting", "answers_in")
    hidden = ("call",) if any(row.get(name) for row in rows for name in busy) else busy
    return tuple(column for column in columns if column.key not in hidden)


topics = _listing(
    "topics",
    "The topics, and who reads them.",
    (
        Column("uri", "topic"),
        Column("subscribers", "readers", "right"),
        Column("publish", "may publish"),
        Column("subscribe", "may read"),
        Column("summary", "summary", wraps=True),
    ),
    "uri",
    "no contract declares a topic like that",
)
procedures = _listing(
    "procedures",
    "The procedures, who serves them, and how busy they are.",
    (
        Column("uri", "procedure"),
        Column("callees", "served by", "right"),
        Column("in_hand", "in hand", "right"),
        Column("waiting", "waiting", "right"),
        Column("answers_in", "answers in", "right"),
        Column("call", "may call"),
        Column("summary", "summary", wraps=True),
    ),
    "uri",
    "no contract declares a procedure like that",
    _procedure,
    _procedure_columns,
)
sessions = _listing(
    "sessions",
    "Everybody who is connected, and who reads too slowly.",
    (
        Column("session", "session", "right"),
        Column("authid", "who"),
        Column("role", "role"),
        Column("door", "door"),
        Column("since", "since", "right"),
        Column("peer", "from"),
        Column("unsent", "unsent", "right"),
        Column("behind", "behind", wraps=True),
        Column("agent", "software", wraps=True),
    ),
    "authid",
    "nobody is connected",
    _session,
    _session_columns,
)
sessions.add_command(kick)
