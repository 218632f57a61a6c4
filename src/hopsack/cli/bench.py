"""``hopsack bench``: the node against its peers. What measures lies in ``bench/`` of a checkout, not in the library."""

from __future__ import annotations

import json
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from hopsack.cli.exits import Ended, Exit
from hopsack.cli.main import json_option, settings_from
from hopsack.cli.output import say, to_json
from hopsack.errors import UsageError
from hopsack.settings import Settings

# Known here so that --help needs no bench; a test compares.
SCENARIOS = (
    *("fanout", "burst", "latency", "rpc", "sdk", "connect", "memory", "journal", "validation"),
    *("policies", "least", "crowd"),
    *("recovery", "chaos", "storm", "stall", "slow"),
)


@click.command(short_help="Measure the node against its peers.")
@click.argument("scenarios", nargs=-1, metavar=f"[{'|'.join(SCENARIOS)}]...")
@click.option("--only", multiple=True, metavar="SUBJECT", help="Measure this subject; may be repeated.")
@click.option("--rounds", type=click.IntRange(1, 50), help="Turns that every subject has. [3]")
@click.option("--seconds", type=click.FloatRange(0.1, 60), help="How long one load lasts. [4]")
@click.option("--kills", type=click.IntRange(1, 1000), help="How often recovery and chaos kill the node. [20, 30]")
@click.option("--readers", type=click.IntRange(1, 15_000), help="Readers of a storm. [5000]")
@click.option("--quick", is_flag=True, help="Small loads, once: shows that it works, makes no figures.")
@click.option("--name", metavar="NAME", help="Keep the results under this name. [a git-ignored one]")
@click.option("--into", type=click.Path(path_type=Path), help="The folder of the results. [bench/results]")
@click.option("--page", metavar="NAME", help="Put a kept result's figures into the pages of docs.")
@click.option("--list", "listing", is_flag=True, help="Print scenarios and subjects, and do nothing.")
@json_option
def bench(
    scenarios: tuple[str, ...],
    listing: bool,
    name: str | None,
    page: str | None,
    into: Path | None,
    as_json: bool,
    **asked: Any,
) -> int:
    """Measure the node against its peers, by turns on this machine, each server on one core and the load on another.

    A peer that is not installed is skipped, and how to get it is said. The results are a table, and JSON and a chart
    under bench/results.
    """
    _find(settings_from())
    main = import_module("hopsack_bench.main")
    known = import_module("hopsack_bench.scenarios")
    if listing:
        for one in known.SCENARIOS.values():
            click.echo(to_json({"scenario": one.name, "title": one.title, "subjects": list(one.subjects)}))
        return Exit.OK
    if page is not None:
        return _write_page(into or main.RESULTS, page)
    chosen = [_named(one, known.SCENARIOS) for one in scenarios] or list(known.SCENARIOS.values())
    subjects = {subject for one in chosen for subject in one.subjects}
    for subject in asked["only"]:
        _named(subject, dict.fromkeys(subjects, subject))
    if name is not None and (not name or "/" in name or name.startswith(".")):
        raise UsageError(f"{name!r} cannot be part of a file's name")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the servers too
    facts = main.machine.facts()
    outcomes = _run(main, chosen, _size(known, **asked), asked["only"], as_json)
    main.save(outcomes, name, into or main.RESULTS, facts, say)
    # What is not installed is no fault of this run; what was measured and broke is.
    broken = any(remark.startswith("broken") for outcome in outcomes for remark in outcome.remarks)
    return Exit.FAILURE if broken or not any(outcome.samples for outcome in outcomes) else Exit.OK


def _find(settings: Settings) -> None:
    folder = settings.project / "bench"
    if not (folder / "hopsack_bench").is_dir():
        raise Ended(f"there is no bench in {settings.project}", Exit.FAILURE, "this verb works in a checkout")
    if not sys.platform.startswith("linux"):
        raise Ended("the bench reads CPU times from /proc", Exit.FAILURE, "run it on Linux")
    sys.path.insert(0, str(folder))


def _write_page(results: Path, name: str) -> int:
    writer = import_module("hopsack_bench.page")
    kept, project = results / f"{name}.json", results.parent.parent
    try:
        result = json.loads(kept.read_text())
    except FileNotFoundError:
        advice = f"measure first: hopsack bench --name {name}"
        raise Ended(f"{kept} is not there", Exit.FAILURE, advice) from None
    for path, part in writer.PAGES.items():
        page = project / path
        page.write_text(writer.written_into(page.read_text(), name, result, part))
        say(f"wrote {page}")
    return Exit.OK


def _named(name: str, known: Any) -> Any:
    if name not in known:
        raise UsageError(f"the bench does not know {name!r}: known are {', '.join(sorted(known))}")
    return known[name]


def _size(
    known: Any,
    *,
    quick: bool,
    rounds: int | None,
    seconds: float | None,
    kills: int | None,
    readers: int | None,
    only: tuple[str, ...],
) -> Any:
    from dataclasses import replace

    given = {"rounds": rounds, "seconds": seconds}
    size = replace(known.QUICK if quick else known.FULL, **{key: value for key, value in given.items() if value})
    if kills:
        size = replace(size, recovery=replace(size.recovery, kills=kills), chaos=replace(size.chaos, kills=kills))
    if readers:
        storms = dict.fromkeys(replace(one, readers=readers) for one in size.storms)
        size = replace(size, storms=tuple(storms))
    return size


def _run(main: Any, chosen: Any, size: Any, only: tuple[str, ...], as_json: bool) -> list[Any]:
    outcomes = []
    for outcome in main.run(chosen, size, only, say):
        outcomes.append(outcome)
        if as_json:
            click.echo(to_json(outcome.to_json()))
        else:
            main.report(outcome)
    return outcomes
