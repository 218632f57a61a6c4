"""``hopsack why``: may somebody do something, and which rule decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from hopsack.cli.exits import Exit
from hopsack.cli.main import json_option, remote_options
from hopsack.cli.output import emit, for_people, plain
from hopsack.cli.talk import ask
from hopsack.cli.token import Name

ACTIONS = ("publish", "subscribe", "register", "call")
_VERBS = {"publish": "publish to", "subscribe": "subscribe to", "register": "register", "call": "call"}
_PATTERNS = {"prefix": "everything that begins with ", "wildcard": "everything that matches "}


@click.command(short_help="Whether somebody may do something, and why.")
@click.argument("subject", type=Name(), metavar="SUBJECT")
@click.argument("action", metavar="ACTION", type=click.Choice(ACTIONS))
@click.argument("uri")
@click.option("--role", type=click.Choice(["guest", "user", "service", "operator"]), help="As if it had this role.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="As if it were in this group; again for more.")
@click.option("--tenant", metavar="NAME", help="As if it belonged to this tenant.")
@click.option(
    "--match",
    type=click.Choice(["exact", "prefix", "wildcard"]),
    default="exact",
    show_default=True,
    help="How URI is meant, for subscribe and register.",
)
@remote_options
@json_option
def why(
    subject: str,
    action: str,
    uri: str,
    role: str | None,
    groups: tuple[str, ...],
    tenant: str | None,
    match: str,
    as_json: bool,
    **given: Any,
) -> int:
    """Whether SUBJECT may publish, subscribe to, register or call URI, and the rule that decides.

    The node is asked, and it asks what it asks for a message. Where SUBJECT is connected, its session counts, unless a
    role, groups or a tenant are given. Else it is taken for a user.

    Exit code 0: it may. 1: it may not. Others: the question was not answered.
    """
    asked: dict[str, Any] = {"subject": subject, "action": action, "uri": uri, "match": match}
    asked |= {name: value for name, value in (("role", role), ("tenant", tenant)) if value is not None}
    if groups:
        asked["groups"] = list(groups)
    answer = ask("hopsack.access.why", given, asked)
    if for_people(as_json):
        click.echo(plain_answer(answer, action, _PATTERNS.get(match, "") + uri))
    else:
        emit(answer, as_json)
    return Exit.OK if answer["allowed"] else Exit.FAILURE


def plain_answer(answer: Mapping[str, Any], action: str, uri: str) -> str:
    """Two lines: the answer, and what it rests on. A third where the name may be misspelt."""
    word, color = ("yes", "green") if answer["allowed"] else ("no", "red")
    sentence = f"{described(answer['who'])} may {'' if answer['allowed'] else 'not '}{_VERBS[action]} {uri}"
    code = f" [{answer['code']}]" if "code" in answer else ""
    rule = f"{answer['rule']}: " if answer.get("rule") else ""
    hint = f"\n  did you mean {plain(answer['nearest'])}?" if answer.get("nearest") else ""
    return f"{click.style(word, fg=color)}: {plain(sentence)}{plain(code)}\n  {plain(rule + answer['why'])}{hint}"


def described(who: Mapping[str, Any]) -> str:
    """Somebody in a few words: ``user ann, in ops, of acme``."""
    parts = [f"{who['role']} {who['subject']}"]
    if who["groups"]:
        parts.append("in " + ", ".join(who["groups"]))
    if who["tenant"] is not None:
        parts.append(f"of {who['tenant']}")
    return ", ".join(parts)
