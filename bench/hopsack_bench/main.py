"""A run: the scenarios one after the other, in each the subjects by turns, then tables, JSON and charts."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hopsack_bench import chart, machine, table
from hopsack_bench.peers import BENCH, PEERS, no_compiler
from hopsack_bench.samples import Row, Sample, summarise
from hopsack_bench.scenarios import SCENARIOS, Scenario, Size
from hopsack_bench.servers import Broken
from hopsack_bench.stage import Stage
from hopsack_bench.targets import Verdict, judge

RESULTS = BENCH / "results"
NEEDS_NO_COMPILER = ("rpc", "sdk", "policies", "least", "journal", "recovery", "chaos", "storm", "stall")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one scenario came to.

    :ivar remarks: what was left out or broke, and why.
    :ivar versions: of each server that took part.
    :ivar counts: whether the figures mean anything.
    """

    scenario: Scenario
    samples: Sequence[Sample]
    remarks: Sequence[str]
    versions: dict[str, str]
    counts: bool

    @property
    def rows(self) -> list[Row]:
        return summarise(self.samples, self.scenario.main, tuple(self.scenario.versus))

    @property
    def verdicts(self) -> list[Verdict]:
        return judge(self.scenario.name, self.samples) if self.counts else []

    def to_json(self) -> dict[str, Any]:
        return {
            "scenario": self.scenario.name,
            "title": self.scenario.title,
            "versions": self.versions,
            "rows": [row.to_json() for row in self.rows],
            "targets": [verdict.to_json() for verdict in self.verdicts if verdict.value is not None],
            "remarks": list(self.remarks),
            "samples": [
                {"load": one.load, "subject": one.subject, "round": one.round, "figures": dict(one.figures)}
                for one in self.samples
            ],
        }


def run(scenarios: Sequence[Scenario], size: Size, only: Sequence[str], say: Say) -> Iterator[Outcome]:
    """Measure; yields each scenario when it is done.

    :param only: names of subjects, if not all of them.
    :param say: told what goes on.
    """
    if machine.cores().shared:
        say("there is only one core: servers and load share it, and only CPU times mean something")
    with tempfile.TemporaryDirectory(prefix="hopsack-bench-") as folder:
        os.chmod(folder, 0o755)  # not only for us: nginx's worker must get into it when the run is root's
        with Stage(Path(folder), say) as stage:
            for scenario in scenarios:
                yield _measure(stage, scenario, size, only, say)


def _measure(stage: Stage, scenario: Scenario, size: Size, only: Sequence[str], say: Say) -> Outcome:
    subjects, remarks = _present(scenario, only)
    samples: list[Sample] = []
    measure = scenario.run(size)
    rounds = 1 if scenario.is_once else size.rounds
    for number in range(1, rounds + 1):
        for name in list(subjects):
            say(f"{scenario.name}, round {number} of {rounds}: {scenario.subjects[name][1]}")
            try:
                samples.extend(measure(stage, name, number))
            except Broken as error:
                remarks.append(f"broken: {scenario.subjects[name][1]}, round {number}: {error}")
                stage.drop(scenario.subjects[name][0])
                subjects.remove(name)
    peers = dict.fromkeys(scenario.subjects[sample.subject][0] for sample in samples)
    return Outcome(scenario, samples, remarks, {name: PEERS[name].version() for name in peers}, size.counts)


def _present(scenario: Scenario, only: Sequence[str]) -> tuple[list[str], list[str]]:
    """The subjects that can take part, and why the others cannot."""
    wanted = [name for name in scenario.subjects if not only or name in only]
    lacking = None if scenario.name in NEEDS_NO_COMPILER else no_compiler()
    if lacking:
        return [], [f"skipped: all of {scenario.name}, whose readers are written in C: {lacking}"]
    remarks: dict[str, None] = {}
    present = []
    for name in wanted:
        peer = PEERS[scenario.subjects[name][0]]
        missing = peer.missing()
        if missing is None:
            present.append(name)
        else:
            remarks[f"skipped: {peer.title}: {missing}"] = None
    return present, list(remarks)


def report(outcome: Outcome) -> None:
    """Print the table."""
    table.print_scenario(outcome.scenario, outcome.rows, outcome.verdicts, outcome.remarks)


def save(outcomes: Sequence[Outcome], name: str | None, into: Path, facts: dict[str, Any], say: Say) -> None:
    """Write one JSON file and a chart for each scenario. Without a name they are git-ignored.

    What the same machine measured under the same name before stays, but for the scenarios that were measured again:
    ratios are made within a scenario, so they need not be of one hour.

    :param facts: of the machine, before the run.
    """
    into.mkdir(parents=True, exist_ok=True)
    when = datetime.now(UTC)
    stem = name or f"run-{when:%Y%m%d-%H%M%S}"
    path = into / f"{stem}.json"
    stamp = {"when": when.isoformat(timespec="seconds"), "load_before": facts["load_before"]}
    measured = {outcome.scenario.name: outcome.to_json() | stamp for outcome in outcomes}
    lasting = {key: fact for key, fact in facts.items() if key != "load_before"}
    kept = json.loads(path.read_text()) if path.exists() else {}
    before = {one["scenario"]: one for one in kept["scenarios"]} if kept.get("machine") == lasting else {}
    together = before | measured
    whole = {"machine": lasting, "scenarios": [together[one] for one in SCENARIOS if one in together]}
    path.write_text(_lines(json.dumps(whole, indent=1, ensure_ascii=False)) + "\n")
    say(f"wrote {path}")
    for outcome in outcomes:
        if outcome.rows and not outcome.scenario.is_promise:
            drawn = into / f"{stem}-{outcome.scenario.name}.svg"
            drawn.write_text(chart.draw(outcome.scenario, outcome.rows))
            say(f"wrote {drawn}")


def _lines(text: str) -> str:
    """One row a line: indented JSON with a figure a line cannot be read."""
    return re.sub(r"\{\n\s+([^{}\[\]]*?)\n\s+\}", lambda found: "{" + re.sub(r"\n\s+", " ", found[1]) + "}", text)
