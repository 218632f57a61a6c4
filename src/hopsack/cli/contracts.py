"""``hopsack check`` and ``hopsack generate``: the contracts, and what is written from them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from hopsack.cli.exits import Exit
from hopsack.cli.main import json_option, own_name, settings_from
from hopsack.cli.output import emit, for_people, say, to_json
from hopsack.errors import UsageError

schemas_option = click.option("--schemas", metavar="DIR", help="The contracts. [HOPSACK_SCHEMAS; schemas]")


@click.command(short_help="Check the contracts.")
@click.argument("folder", metavar="[DIR]", required=False)
@schemas_option
@json_option
def check(folder: str | None, as_json: bool, schemas: str | None) -> int:
    """Check the contracts, those of DIR or of --schemas.

    Every fault is told with its file, line, key and what would be right; exit code 3.
    """
    if folder is not None and schemas is not None:
        raise UsageError(f"the contracts are named twice, as {folder} and with --schemas {schemas}: name them once")
    return _check(settings_from(schemas=folder or schemas).schemas, as_json)


def _check(folder: Path, as_json: bool) -> int:
    from hopsack.contracts import ContractsInvalid, load

    try:
        catalogue = load(folder)
    except ContractsInvalid as invalid:
        for problem in invalid.problems:
            facts = {name: getattr(problem, name) for name in ("file", "line", "key", "message", "advice")}
            click.echo(to_json({"ok": False, **facts}) if not for_people(as_json) else str(problem))
        say(f"hopsack: {_count(len(invalid.problems), 'fault')} in {folder}")
        return Exit.CONFIGURATION
    facts = {"ok": True, "topics": len(catalogue.topics), "procedures": len(catalogue.procedures)}
    if for_people(as_json):
        topics, procedures = _count(len(catalogue.topics), "topic"), _count(len(catalogue.procedures), "procedure")
        say(f"hopsack: {folder} declares, with the node's own, {topics} and {procedures}; all is well")
    else:
        emit(facts, as_json)
    return Exit.OK


@click.command(short_help="Write the types that follow from the contracts.")
@schemas_option
@click.option("--python", type=click.Path(path_type=Path), help="The Python types. [services/hopsack_contracts.py]")
@click.option(
    "--typescript", type=click.Path(path_type=Path), help="The TypeScript types. [web_client/console/src/contracts.ts]"
)
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit code 1 if something would be written.")
@json_option
def generate(python: Path | None, typescript: Path | None, only_check: bool, as_json: bool, **given: Any) -> int:
    """Write the types that follow from the contracts, in Python and TypeScript.

    The same contracts give the same bytes; only files that differ are written. A language whose usual folder does not
    exist is left out. What cannot be typed is refused with its file and line; exit code 3.
    """
    from hopsack.contracts import load
    from hopsack.contracts.generate import plan, stale, write

    settings = settings_from(**given)
    files = plan(load(settings.schemas), settings.project, python, typescript)
    differ = stale(files) if only_check else write(files)
    for file in files:
        name = os.path.relpath(file.path)
        if not for_people(as_json):
            click.echo(to_json({"file": name, "differs" if only_check else "written": file.path in differ}))
        elif file.path in differ:
            say(f"{'differs' if only_check else 'written'}  {name}")
    if only_check and differ:
        say(f"hopsack: {_count(len(differ), 'file')} differ from the contracts; `{own_name()} generate` writes them")
        return Exit.FAILURE
    if for_people(as_json) and not differ:
        say(f"hopsack: {_count(len(files), 'file')}, all as the contracts say")
    return Exit.OK


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")
