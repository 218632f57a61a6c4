"""``hopsack token``: make a token, for a page, a script or a service that runs elsewhere."""

from __future__ import annotations

import re
import time
from typing import Any

import click

from hopsack.cli.main import json_option, local_options, settings_from
from hopsack.cli.output import for_people, say, to_json

_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}


class Duration(click.ParamType[float]):
    """``90``, ``90s``, ``15m``, ``1h``, ``7d``: seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(value).strip())
        if found is None or found[2] not in _UNITS or float(found[1]) <= 0:
            self.fail(f"{value!r} is not a time: write 90s, 15m, 1h or 7d", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


class Name(click.ParamType[str]):
    """Whom somebody means, as the node takes it."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from hopsack.tokens import LONGEST_NAME

        name = str(value)
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            self.fail(f"{name[:50]!r} is no name: write 1 to {LONGEST_NAME} printable characters", param, ctx)
        return name


@click.command(short_help="Make a token for somebody.")
@click.argument("subject", required=False)
@click.option("--sub", metavar="SUBJECT", help="The same.")
@click.option("--role", type=click.Choice(["guest", "user", "service", "operator"]), default="user", show_default=True)
@click.option("--group", "groups", multiple=True, metavar="NAME", help="A group that it is in; may be repeated.")
@click.option("--tenant", metavar="NAME", help="Whose customer it is.")
@click.option(
    "--for", "ttl", type=Duration(), metavar="TIME", help="How long it is valid: 90s, 15m, 1h, 7d. [for ever]"
)
@local_options
@json_option
def token(
    subject: str | None,
    sub: str | None,
    role: str,
    groups: tuple[str, ...],
    tenant: str | None,
    ttl: float | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Make a token for SUBJECT, which is a session's authid, signed with this data folder's secret or the one given."""
    from hopsack import tokens

    if (subject is None) == (sub is None):
        raise click.UsageError("write whom the token is for, once: hopsack token SUBJECT")
    name = subject or sub or ""
    settings = settings_from(**given)
    made = tokens.mint(settings.secret(), sub=name, role=role, ttl=ttl, groups=groups, tenant=tenant)
    if not for_people(as_json):
        expires = int(time.time() + ttl) if ttl is not None else None
        facts = {"token": made, "sub": name, "role": role, "groups": sorted(set(groups)), "tenant": tenant}
        click.echo(to_json(facts | {"expires": expires}) if as_json else made)
        return
    click.echo(made)
    from hopsack.cli.control import duration

    say(f"\n{role} {name}, " + (f"valid for {duration(ttl)}" if ttl else "valid for ever; --for sets a time"))
