"""``hopsack revoke`` and ``hopsack sessions kick``: somebody is not to come any more, or to leave now."""

from __future__ import annotations

import time
from typing import Any

import click

from hopsack.cli.control import duration
from hopsack.cli.exits import Exit
from hopsack.cli.main import json_option, own_name, remote_options
from hopsack.cli.output import Column, emit, emit_rows, for_people, plain, say
from hopsack.cli.talk import ask
from hopsack.cli.token import Name
from hopsack.contracts.problems import nearest
from hopsack.errors import RemoteError, UsageError

_COLUMNS = (
    Column("subject", "subject", wraps=True),
    Column("since", "revoked"),
    Column("reason", "reason", wraps=True),
)


@click.command(short_help="Refuse whatever somebody has logged in with.")
@click.argument("subject", type=Name(), metavar="[SUBJECT]", required=False)
@click.option("--reason", metavar="TEXT", help="For those who read the list, and the audit log.")
@click.option("--list", "lists", is_flag=True, help="Who is revoked.")
@click.option("--restore", is_flag=True, help="Take it back. Keys that were revoked stay so.")
@remote_options
@json_option
def revoke(subject: str | None, reason: str | None, lists: bool, restore: bool, as_json: bool, **given: Any) -> int:
    """Refuse whatever SUBJECT has logged in with until now, and end its sessions.

    Its tokens of before this moment are refused, its keys are revoked, and its sessions end at once, on every door. A
    token that is made later counts.
    """
    if lists and (subject is not None or restore):
        raise UsageError("--list goes alone: it lists everybody")
    if lists:
        _list(as_json, given)
        return Exit.OK
    if subject is None:
        raise UsageError("say whom to revoke or to restore, or --list")
    if restore:
        return _restore(subject, as_json, given)
    asked = {"subject": subject} if reason is None else {"subject": subject, "reason": reason}
    told = ask("hopsack.access.revoke", given, asked)
    if not for_people(as_json):
        emit(told, as_json)
        return Exit.OK
    ended, keys = _counted(len(told["ended"]), "session"), _counted(told["keys"], "key")
    click.echo(plain(f"{subject} is revoked: {ended} ended, {keys} revoked"))
    return Exit.OK


def _restore(subject: str, as_json: bool, given: dict[str, Any]) -> int:
    revoked = [str(row["subject"]) for row in ask("hopsack.access.revoked", given)]
    if subject not in revoked:
        near = nearest(subject, revoked)
        hint = f"did you mean {near}?" if near else f"`{own_name()} revoke --list` shows who is"
        say(plain(f"hopsack: {subject} is not revoked; {hint}"))
        return Exit.FAILURE
    ask("hopsack.access.restore", given, {"subject": subject})
    if for_people(as_json):
        say(plain(f"hopsack: what {subject} logs in with counts again"))
    return Exit.OK


def _list(as_json: bool, given: dict[str, Any]) -> None:
    rows = sorted(ask("hopsack.access.revoked", given), key=lambda row: str(row["subject"]))
    if for_people(as_json):
        now = time.time()
        rows = [row | {"since": f"{duration(now - row['since'])} ago"} for row in rows]
    emit_rows(rows, _COLUMNS, as_json, "hopsack: nobody is revoked")


@click.command(short_help="End a session, or all of somebody.")
@click.argument("whom", metavar="SESSION|SUBJECT")
@click.option("--subject", "is_subject", is_flag=True, help="It is a subject, though it is a number.")
@click.option("--reason", metavar="TEXT", help="What its client is told.")
@remote_options
@json_option
def kick(whom: str, is_subject: bool, reason: str | None, as_json: bool, **given: Any) -> int:
    """End a session by its number, or all sessions of a subject; your own stays.

    They may come back, if they can log in: `revoke` keeps somebody out.
    """
    is_number = whom.isascii() and whom.isdecimal() and not is_subject
    asked: dict[str, Any] = {"session": int(whom)} if is_number else {"subject": whom}
    try:
        told = ask("hopsack.sessions.end", given, asked if reason is None else asked | {"reason": reason})
    except RemoteError as error:
        if error.code == "hopsack.no_such_session":
            error.advice = f"`{own_name()} sessions ls` lists them"
        raise
    if not for_people(as_json):
        emit(told, as_json)
    elif told["ended"]:
        click.echo(f"{_counted(len(told['ended']), 'session')} ended")
    if told["ended"]:
        return Exit.OK
    say(f"hopsack: {whom} has no session; `{own_name()} sessions ls` shows who has")
    return Exit.FAILURE


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
