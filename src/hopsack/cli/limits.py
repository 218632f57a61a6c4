"""``hopsack limits``: how much clients may do, listed and changed while the node runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from hopsack import rates
from hopsack.cli.main import json_option, remote_options
from hopsack.cli.output import Column, emit_rows, for_people, say
from hopsack.cli.talk import ask
from hopsack.errors import UsageError

Row = Mapping[str, Any]

_COLUMNS = (
    Column("name", "limit"),
    Column("role", "role"),
    Column("value", "value"),
    Column("given", "from"),
    Column("refused", "refused", "right"),
)
_IN_BYTES = ("bytes.", "payload.")


@click.group(short_help="How much clients may do.")
def limits() -> None:
    """How much clients may do: list, set, reset. What is changed counts at once, and over restarts."""


@limits.command(short_help="Every limit, and how often more was wanted.")
@click.argument("prefix", default="")
@remote_options
@json_option
def ls(prefix: str, as_json: bool, **given: Any) -> None:
    """Every limit, where it comes from, and how often more was wanted. With PREFIX, those that begin with it."""
    rows: list[Row] = [row for row in ask("hopsack.limits.list", given) if row["name"].startswith(prefix)]
    _show(rows, as_json)


@limits.command("set", short_help="Change a limit.")
@click.argument("name")
@click.argument("value")
@click.option("--role", type=click.Choice(["guest", "user", "service", "operator"]), help="Only for this role.")
@remote_options
@json_option
def set_(name: str, value: str, role: str | None, as_json: bool, **given: Any) -> None:
    """Change the limit NAME, such as messages.connection, to VALUE: `500/s`, `10/min burst 20`, `250`, `4 MiB`, `none`.

    A rate without a burst has that of two seconds. Everybody who is connected begins anew, with all of it.
    """
    try:
        rate, burst = rates.read(value)
    except ValueError as error:
        raise UsageError(str(error)) from None
    wanted: dict[str, Any] = {"name": name, "rate": rate}
    if burst is not None:
        wanted["burst"] = burst
    if role is not None:
        wanted["role"] = role
    _show([ask("hopsack.limits.set", given, wanted)], as_json)


@limits.command(short_help="Give limits back the values that the node was started with.")
@click.argument("name", default="")
@remote_options
@json_option
def reset(name: str, as_json: bool, **given: Any) -> None:
    """Give the limit NAME, or all, the values back that the node was started with."""
    rows = ask("hopsack.limits.reset", given, {"name": name} if name else {})
    _show(rows, as_json, "hopsack: nothing was changed")


def _show(rows: list[Row], as_json: bool, empty: str = "hopsack: there is no such limit") -> None:
    if for_people(as_json):
        rows = [_dressed(row) for row in rows]
        if not rows:
            say(empty)
            return
    emit_rows(rows, _COLUMNS, as_json, empty)


def _dressed(row: Row) -> Row:
    value = rates.write(row["rate"], row["burst"], in_bytes=str(row["name"]).startswith(_IN_BYTES))
    return {**row, "value": value, "role": row["role"] or "", "refused": row["refused"] or ""}
