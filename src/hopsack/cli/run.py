"""``hopsack run``: the services of one folder, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hopsack.cli.main import local_options, settings_from
from hopsack.cli.parent import end_with_parent


@click.command(short_help="Run one folder with a service.py, in this process.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--reload", is_flag=True, help="Begin again when a Python file of the folder changes.")
@click.option(
    "--ready-file",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Kept fresh while everything is served, removed otherwise: for health checks.",
)
@click.option(
    "--finish",
    type=click.FloatRange(0),
    metavar="S",
    help="Seconds to finish what is in hand at the end. [HOPSACK_FINISH; 10]",
)
@click.option("--url", metavar="URL", help="The node. [HOPSACK_URL; tcp://127.0.0.1:8081]")
@click.option("--token", metavar="TOKEN", help="Who to be. [HOPSACK_TOKEN; the service, on this machine]")
@click.option("--with-parent", is_flag=True, hidden=True)
@local_options
def run(folder: Path, reload: bool, ready_file: Path | None, with_parent: bool, **given: Any) -> int:
    """Run the services that DIR/service.py defines, in this process, until SIGTERM or Ctrl-C.

    When one is ready it prints a line to stdout: JSON in a pipe. Logs go to stderr. A node that is not there is waited
    for, and one that goes away is found again. At the end it finishes what it has in hand, and leaves.
    """
    from hopsack.cli.client import remote_settings
    from hopsack.run import run_folder

    settings = remote_settings(**given) if not with_parent else settings_from(**given)
    if with_parent:
        end_with_parent()
    return run_folder(folder, settings, reload, ready_file)
