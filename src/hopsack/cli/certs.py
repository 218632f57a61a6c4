"""``hopsack certs --dev``: a certificate for this machine, and an authority that signed nothing else."""

from __future__ import annotations

import os
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from hopsack.cli.exits import Ended, Exit
from hopsack.cli.main import json_option, local_options, own_name, settings_from
from hopsack.cli.output import say, to_json
from hopsack.errors import LocalError, UsageError
from hopsack.settings import Settings

LOCAL = ("localhost", "127.0.0.1", "::1")
_ANY_INTERFACE = ("", "0.0.0.0", "::")


@click.command(short_help="Make a certificate for development.")
@click.option("--dev", is_flag=True, help="One that only those trust who are given its authority. There is no other.")
@click.option("--name", "names", multiple=True, metavar="HOST", help="A further name or address of the node.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Where to. [$HOPSACK_DATA/certs]")
@click.option("--renew", is_flag=True, help="Replace what is there; a running node takes the new one within a second.")
@local_options
@json_option
def certs(dev: bool, names: tuple[str, ...], out: Path | None, renew: bool, as_json: bool, **given: Any) -> None:
    """Make a certificate for development, and print the variables that have it used.

    For localhost, 127.0.0.1, ::1 and every --name. The authority's key is thrown away.
    """
    if not dev:
        raise UsageError(
            "only certificates for development are made here: --dev. For others ask an authority, such as Let's Encrypt"
        )
    settings = settings_from(**given)
    folder = (out or settings.data / "certs").absolute()
    places = {
        "HOPSACK_TLS_CERT": folder / "node.pem",
        "HOPSACK_TLS_KEY": folder / "node.key",
        "HOPSACK_TLS_CA": folder / "authority.pem",
    }
    if renew or not all(path.exists() for path in places.values()):
        _write(folder, list(places.values()), _names(settings, names))
        say(f"hopsack: made {folder}; whoever connects has to trust {places['HOPSACK_TLS_CA']}")
    else:
        say(f"hopsack: {folder} is there already; --renew replaces it")
    if as_json:
        click.echo(to_json({name: str(path) for name, path in places.items()}))
        return
    for name, path in places.items():
        click.echo(f"export {name}={shlex.quote(str(path))}")
    say(f'hopsack: eval "$({own_name()} certs --dev)" sets them; then `{own_name()} up` speaks TLS')


def _names(settings: Settings, given: tuple[str, ...]) -> list[str]:
    own = () if settings.host in _ANY_INTERFACE else (settings.host,)
    return list(dict.fromkeys((*LOCAL, *own, *given)))


def _write(folder: Path, places: list[Path], names: list[str]) -> None:
    try:
        from hopsack.certificates import make
    except ModuleNotFoundError as error:
        raise Ended(
            f"{error.name} is not installed here: this is the library alone",
            Exit.FAILURE,
            "run it where the node is installed",
        ) from error
    try:
        made = make(names, datetime.now(UTC))
    except ValueError as error:
        raise UsageError(f"--name: {error}") from error
    try:
        # A data folder that others can read stops a node in production.
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        for path, text in zip(places, (made.cert, made.key, made.authority), strict=True):
            _replace(path, text)
    except OSError as error:
        raise LocalError(f"cannot write {error.filename or folder}: {error.strerror or error}") from error


def _replace(path: Path, text: bytes) -> None:
    """All of it or nothing, and nobody else may read it at any moment."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)
    draft.replace(path)
