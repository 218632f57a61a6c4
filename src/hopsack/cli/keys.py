"""``hopsack keygen`` and ``hopsack keys``: the keys that services and people log in with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from hopsack.cli.main import json_option, local_options, own_name, remote_options, settings_from
from hopsack.cli.output import Column, emit_rows, for_people, say, to_json
from hopsack.cli.talk import ask
from hopsack.cli.token import Name

# ----- keygen


@click.command(short_help="Make a key for a service or a person.")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@local_options
@json_option
def keygen(file: Path | None, as_json: bool, **given: Any) -> None:
    """Make a key pair. The private key goes to FILE, which only you can read; the public key is printed.

    FILE is HOPSACK_KEY, else key in the data folder. Nothing is overwritten.
    """
    from hopsack.keys import PrivateKey, fingerprint, public_text

    settings = settings_from(**given)
    path = file or settings.key or settings.data / "key"
    key = PrivateKey.new()
    key.write(path)
    public = public_text(key.public)
    if not for_people(as_json):
        facts = {"public": public, "fingerprint": fingerprint(key.public), "key": str(path)}
        click.echo(to_json(facts) if as_json else public)
        return
    click.echo(public)
    say(f"\nThe private key is in {path}. Where the node is, an operator has the other half accepted:\n")
    say(f"    hopsack keys add NAME {public} --role service\n")
    say(f"Then HOPSACK_KEY={path} logs in with it.")


# ----- keys


@click.group(short_help="The public keys that the node accepts.")
def keys() -> None:
    """The public keys that the node accepts: list, add, revoke.

    Each is a file in HOPSACK_KEYS (keys in the node's data folder); a file that is put there or removed counts, too.
    """


_COLUMNS = (
    Column("name", "name"),
    Column("subject", "subject", wraps=True),
    Column("role", "role"),
    Column("fingerprint", "fingerprint"),
    Column("added", "added"),
    Column("sessions", "sessions", "right"),
    Column("note", "note", wraps=True),
)


@keys.command("ls", short_help="The keys, and who uses them.")
@remote_options
@json_option
def list_keys(as_json: bool, **given: Any) -> None:
    """The keys that the node accepts, and how many sessions each has."""
    rows = ask("hopsack.keys.list", given)
    if for_people(as_json):
        rows = [row | {"added": f"{datetime.fromtimestamp(row['added']).astimezone():%Y-%m-%d %H:%M}"} for row in rows]
    emit_rows(rows, _COLUMNS, as_json, f"no keys are accepted; `{own_name()} invite` lets a machine in")


@keys.command("add", short_help="Accept a public key.")
@click.argument("subject", type=Name(), metavar="SUBJECT")
@click.argument("public", metavar="PUBLIC")
@click.option("--role", type=click.Choice(["service", "user", "operator"]), default="service", show_default=True)
@click.option("--note", metavar="TEXT", help="For those who read the list.")
@remote_options
@json_option
def add_key(subject: str, public: str, role: str, note: str | None, as_json: bool, **given: Any) -> None:
    """Accept the key PUBLIC, which `hopsack keygen` has printed: from now on it logs in as SUBJECT."""
    asked = {"subject": subject, "public": public, "role": role}
    added = ask("hopsack.keys.add", given, asked if note is None else asked | {"note": note})
    if for_people(as_json):
        click.echo(f"{added['role']} {added['subject']} may log in with {added['name']}")
    else:
        click.echo(to_json(added))


@keys.command("revoke", short_help="Accept a key no longer.")
@click.argument("key", metavar="NAME")
@remote_options
@json_option
def revoke_key(key: str, as_json: bool, **given: Any) -> None:
    """Accept the key NAME (or with this fingerprint) no longer, and end the sessions that logged in with it."""
    ended: Mapping[str, Any] = ask("hopsack.keys.revoke", given, {"key": key})
    if for_people(as_json):
        number = len(ended["ended"])
        click.echo(f"{key} is accepted no longer; {number} session{'s' * (number != 1)} ended")
    else:
        click.echo(to_json(ended))
