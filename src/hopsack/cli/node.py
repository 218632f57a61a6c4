"""``hopsack node``: the node alone, in this process. Loading Crossbar takes seconds, so only this verb does it."""

from __future__ import annotations

from typing import Any

import click

from hopsack.cli.exits import Ended, Exit
from hopsack.cli.main import json_option, local_options, settings_from
from hopsack.cli.parent import end_with_parent


@click.command(short_help="Run the node alone, in this process.")
@click.option("--schemas", metavar="DIR", help="The contracts. [HOPSACK_SCHEMAS; schemas]")
@click.option("--host", help="The interface to listen on. [HOPSACK_HOST; 127.0.0.1]")
@click.option("--port", metavar="N", help="The HTTP port; 0 is any free one. [HOPSACK_PORT; 8080]")
@click.option("--rawsocket-port", metavar="N", help="The port for services. [HOPSACK_RAWSOCKET_PORT; 8081]")
@click.option("--rawsocket-path", metavar="PATH", help="A Unix socket for services, in place of the port.")
@click.option("--web", metavar="DIR", help="What is served at /. [HOPSACK_WEB; web_client/dist]")
@click.option("--controller", is_flag=True, help="Run a full Crossbar node, with its controller and a worker process.")
@click.option("--with-parent", is_flag=True, hidden=True)
@local_options
@json_option
def node(controller: bool, with_parent: bool, as_json: bool, **given: Any) -> int:
    """Run the node alone, in this process, until SIGTERM or Ctrl-C.

    When it is ready it prints one line to stdout: JSON in a pipe. Logs go to stderr.
    """
    settings = settings_from(**given)
    if with_parent:
        end_with_parent()
    try:
        from hopsack_router.node import run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "hopsack_router":
            raise
        raise Ended(
            "the node is not installed here: this is the library alone",
            Exit.FAILURE,
            "install hopsack-router, or connect to a node elsewhere with HOPSACK_URL",
        ) from error
    return run(settings, controller=controller, as_json=as_json)
