"""A run goes on without what is missing and without what breaks, and says so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hopsack_bench import main, peers
from hopsack_bench.peers import PEERS, Peer
from hopsack_bench.samples import Sample
from hopsack_bench.scenarios import QUICK, SCENARIOS, Scenario
from hopsack_bench.servers import Broken
from hopsack_bench.stage import Stage

FACTS = {"cores": 2, "load_before": 0.1}
Turn = Callable[[str, int], float]


def said(_: str) -> None:
    pass


def scenario(turn: Turn) -> Scenario:
    """Fan-out of which nothing is real but the order of turns."""

    def measure(stage: Stage, name: str, number: int) -> Iterator[Sample]:
        yield Sample("a load", name, number, {"cpu_us": turn(name, number)})

    return replace(SCENARIOS["fanout"], run=lambda size: measure)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Peer]:
    """The peers, all of them installed."""
    installed = {name: replace(peer, missing=lambda: None, version=lambda: "1") for name, peer in PEERS.items()}
    monkeypatch.setattr(main, "PEERS", installed)
    monkeypatch.setattr(main, "no_compiler", lambda: None)
    return installed


def test_subjects_take_turns() -> None:
    turns = []

    def turn(name: str, number: int) -> float:
        turns.append((number, name))
        return 1.0

    list(main.run([scenario(turn)], replace(QUICK, rounds=2), ["floor", "ws"], said))

    assert turns == [(1, "floor"), (1, "ws"), (2, "floor"), (2, "ws")]


def test_a_peer_that_is_missing_is_skipped_and_said_so(installed: dict[str, Peer]) -> None:
    missing = "nats-server is not installed: apt-get install nats-server"
    installed["nats"] = replace(installed["nats"], missing=lambda: missing)

    (outcome,) = main.run([scenario(lambda *_: 1.0)], QUICK, [], said)

    assert not {"nats-ws", "nats-tcp"} & {sample.subject for sample in outcome.samples}
    assert outcome.remarks == [f"skipped: nats-server: {missing}"]


def test_without_a_compiler_only_calls_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "no_compiler", lambda: "there is no C compiler")

    (outcome,) = main.run([scenario(lambda *_: 1.0)], QUICK, [], said)

    assert outcome.samples == []
    assert outcome.remarks == ["skipped: all of fanout, whose readers are written in C: there is no C compiler"]


def test_what_breaks_has_no_further_turn_and_the_others_go_on() -> None:
    def turn(name: str, number: int) -> float:
        if name == "ws" and number == 2:
            raise Broken("the server ended with 1")
        return 1.0

    (outcome,) = main.run([scenario(turn)], replace(QUICK, rounds=3), ["floor", "ws"], said)

    assert [(row.subject, row.rounds) for row in outcome.rows] == [("floor", 3), ("ws", 1)]
    assert outcome.remarks == ["broken: Node.js ws, round 2: the server ended with 1"]


def test_results_are_git_ignored_unless_they_have_a_name(tmp_path: Path) -> None:
    outcomes = list(main.run([scenario(lambda *_: 1.0)], QUICK, ["floor"], said))

    main.save(outcomes, None, tmp_path, FACTS, said)
    main.save(outcomes, "kept", tmp_path, FACTS, said)

    unnamed = {path.name for path in tmp_path.glob("run-*")}
    assert {path.name for path in tmp_path.iterdir()} - unnamed == {"kept.json", "kept-fanout.svg"}
    assert len(unnamed) == 2
    (kept,) = json.loads((tmp_path / "kept.json").read_text())["scenarios"]
    assert kept.items() >= outcomes[0].to_json().items()
    assert "run-*" in (main.RESULTS / ".gitignore").read_text().splitlines()


def test_what_the_same_machine_measured_before_under_the_name_stays(tmp_path: Path) -> None:
    (fanout,) = main.run([scenario(lambda *_: 1.0)], QUICK, ["floor"], said)
    burst = replace(fanout, scenario=SCENARIOS["burst"])
    again = replace(burst, remarks=("measured again",))

    def kept() -> list[tuple[str, list[str]]]:
        found = json.loads((tmp_path / "kept.json").read_text())["scenarios"]
        return [(one["scenario"], one["remarks"]) for one in found]

    main.save([burst], "kept", tmp_path, FACTS, said)
    main.save([fanout], "kept", tmp_path, FACTS | {"load_before": 3.0}, said)
    main.save([again], "kept", tmp_path, FACTS, said)
    together = kept()
    main.save([fanout], "kept", tmp_path, FACTS | {"cores": 4}, said)

    assert together == [("fanout", []), ("burst", ["measured again"])]
    assert kept() == [("fanout", [])]


def test_a_program_that_does_not_compile_breaks_with_the_compilers_words(tmp_path: Path) -> None:
    if peers.no_compiler():
        pytest.skip(str(peers.no_compiler()))
    (tmp_path / "wrong.c").write_text("int main(void) { return nothing; }\n")

    with pytest.raises(Broken, match="nothing"):
        peers.build(tmp_path / "wrong.c", tmp_path / "wrong")
