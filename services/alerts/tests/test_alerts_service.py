from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from alerts.board import ACKNOWLEDGE, REMIND, REMIND_AFTER, RETRY_AFTER
from alerts.service import Alerts
from hopsack import DeclaredError, Denied
from hopsack.errors import RemoteError
from hopsack.testing import Fabric
from hopsack_contracts import (
    ALERTS_LIST,
    ALERTS_RAISED,
    ALERTS_SET,
    HOST_DESCRIBE,
    HOST_METRICS,
    OPERATOR_NAME_ASK,
    Alert,
    AlertsBadHysteresis,
    AlertThreshold,
    Answer,
    HostDescription,
    HostName,
    HostSample,
    HostSampleCpu,
    HostSampleDisk,
    HostSampleMemory,
    HostSampleNetwork,
    OperatorDeclined,
    Question,
)

SCHEMAS = Path(__file__).parents[3] / "schemas"
QUICK = AlertThreshold(metric="cpu", raise_at=90, clear_at=75, for_s=0)


class Stage:
    """The fabric with the service on it, a host that publishes what it is told, and everything that is announced."""

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.raised = fabric.record("alerts.raised")
        self.cleared = fabric.record("alerts.cleared")
        self.host = fabric.connect("service", "host")
        self.user = fabric.connect("user", "ada")
        self.page = fabric.connect("guest")
        self.alerts = fabric.start(Alerts())
        self.set_threshold(QUICK)

    def set_threshold(self, threshold: AlertThreshold) -> AlertThreshold:
        return self.fabric.run(self.user.call(ALERTS_SET, threshold))

    def cpu(self, at: float, value: float) -> None:
        sample = HostSample(
            host="web",
            at=at,
            cpu=HostSampleCpu(total=value, per_core=(value,)),
            memory=HostSampleMemory(total=8, used=2, available=6, percent=25.0),
            disk=HostSampleDisk(read_bytes_per_s=0, write_bytes_per_s=0, used_percent=40),
            network=HostSampleNetwork(sent_bytes_per_s=0, received_bytes_per_s=0),
            load=(0, 0, 0),
        )
        self.fabric.run(self.host.publish(HOST_METRICS, sample))

    def on_duty(self, answer: Callable[[Question], Awaitable[Answer]]) -> None:
        async def ask(question: Question) -> Answer:
            return await answer(question)

        self.fabric.run(self.page.register(OPERATOR_NAME_ASK, ask, name="duty"))

    @property
    def shown(self) -> dict[str, Alert]:
        """What a page that comes now is given."""

        async def read() -> dict[str, Alert]:
            async with await self.page.map(ALERTS_RAISED) as held:
                return dict(held)

        return self.fabric.run(read())

    @property
    def active(self) -> list[Alert]:
        return list(self.fabric.run(self.page.call(ALERTS_LIST)).active)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("ALERTS_STATE", str(tmp_path / "alerts.json"))
    with Fabric(SCHEMAS) as fabric:
        yield Stage(fabric)


def data(events: list[Any], field: str) -> list[Any]:
    return [event.data[field] for event in events]


def test_an_alert_is_raised_and_cleared_with_nobody_there(stage: Stage) -> None:
    stage.cpu(1, 99)
    assert data(stage.raised, "id") == ["cpu/1.000/web"]
    assert [alert.acknowledged_by for alert in stage.active] == [None]

    stage.cpu(2, 80)
    assert stage.cleared == []
    stage.cpu(3, 70)

    assert data(stage.cleared, "id") == ["cpu/1.000/web"]
    assert data(stage.cleared, "cleared_at") == [3]
    assert stage.active == []


def test_a_host_that_is_described_is_named_in_the_message(stage: Stage) -> None:
    async def describe(query: HostName) -> HostDescription:
        return HostDescription(
            host=query.host,
            system="Linux",
            release="6",
            machine="x86_64",
            cpus=4,
            memory_total=1,
            boot_time=0,
            python="3.11",
        )

    stage.fabric.run(stage.host.register(HOST_DESCRIBE, describe))

    stage.cpu(1, 10)
    stage.cpu(2, 99)

    assert data(stage.raised, "message") == ["web (Linux x86_64, 4 cores): CPU busy at or above 90 %, now 99.0 %"]


def test_the_person_on_duty_acknowledges(stage: Stage) -> None:
    asked: list[Question] = []

    async def acknowledge(question: Question) -> Answer:
        asked.append(question)
        return Answer(choice=ACKNOWLEDGE, by="ada")

    stage.on_duty(acknowledge)

    stage.cpu(1, 99)
    stage.cpu(1000, 99)

    assert [question.choices for question in asked] == [(ACKNOWLEDGE, REMIND)], "once"
    assert data(stage.raised, "acknowledged_by") == [None, "ada"]
    assert [alert.acknowledged_by for alert in stage.active] == ["ada"]


def test_a_person_who_declines_is_reminded(stage: Stage) -> None:
    asked: list[str] = []

    async def decline(question: Question) -> Answer:
        asked.append(question.id)
        raise OperatorDeclined("not now")

    stage.on_duty(decline)
    stage.cpu(1, 99)
    stage.cpu(REMIND_AFTER, 99)
    assert len(asked) == 1

    stage.cpu(1 + REMIND_AFTER, 99)

    assert len(asked) == 2
    assert [alert.acknowledged_by for alert in stage.active] == [None]


def test_a_page_that_comes_later_is_asked(stage: Stage) -> None:
    asked: list[str] = []

    async def acknowledge(question: Question) -> Answer:
        asked.append(question.id)
        return Answer(choice=ACKNOWLEDGE, by="ada")

    stage.cpu(1, 99)
    stage.on_duty(acknowledge)
    stage.cpu(2, 99)
    assert asked == []

    stage.cpu(1 + RETRY_AFTER, 99)

    assert asked == ["cpu/1.000/web"]


def test_a_person_who_does_not_answer_holds_nothing_up(stage: Stage) -> None:
    async def think(_: Question) -> Answer:
        await asyncio.Event().wait()
        raise AssertionError

    stage.on_duty(think)
    stage.cpu(1, 99)
    stage.fabric.advance(59)
    assert len(stage.alerts.questions) == 1

    stage.fabric.advance(2)

    assert stage.alerts.questions == {}
    assert [alert.acknowledged_by for alert in stage.active] == [None]


def test_a_question_is_withdrawn_when_its_alert_clears(stage: Stage) -> None:
    seen: list[str] = []

    async def think(_: Question) -> Answer:
        seen.append("asked")
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("withdrawn")
        raise AssertionError

    stage.on_duty(think)
    stage.cpu(1, 99)

    stage.cpu(2, 10)

    assert seen == ["asked", "withdrawn"]
    assert stage.alerts.questions == {}


def test_a_threshold_that_cannot_clear_is_refused(stage: Stage) -> None:
    with pytest.raises(DeclaredError) as refused:
        stage.set_threshold(AlertThreshold(metric="cpu", raise_at=50, clear_at=50, for_s=1))

    assert refused.value.code == AlertsBadHysteresis.CODE
    assert refused.value.path == "/clear_at"


def test_guests_set_no_thresholds(stage: Stage) -> None:
    with pytest.raises(Denied):
        stage.fabric.run(stage.page.call(ALERTS_SET, QUICK))


def test_thresholds_and_alerts_survive_a_restart(stage: Stage) -> None:
    stage.cpu(1, 99)
    before = stage.fabric.run(stage.page.call(ALERTS_LIST))

    stage.fabric.stop(stage.alerts)
    stage.fabric.start(Alerts())

    assert stage.fabric.run(stage.page.call(ALERTS_LIST)) == before
    stage.cpu(2, 10)
    assert data(stage.cleared, "id") == ["cpu/1.000/web"]


def test_a_state_that_cannot_be_kept_is_logged_and_the_service_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ALERTS_STATE", str(tmp_path / "file" / "alerts.json"))

    with Fabric(SCHEMAS) as fabric:
        stage = Stage(fabric)
        stage.cpu(1, 99)
        assert len(stage.raised) == 1

    assert "a restart will forget the alerts" in caplog.text


def test_a_lost_connection_loses_no_alert(stage: Stage) -> None:
    stage.cpu(1, 99)

    stage.fabric.cut(stage.alerts)
    stage.fabric.advance(30)
    stage.cpu(40, 10)

    assert data(stage.cleared, "id") == ["cpu/1.000/web"]


def test_the_topic_holds_the_alerts_that_stand(stage: Stage) -> None:
    stage.cpu(1, 99)
    assert list(stage.shown.values()) == stage.active != []

    stage.cpu(2, 10)

    assert stage.shown == {}


def test_what_ended_while_the_service_was_away_is_deleted(stage: Stage) -> None:
    stage.cpu(1, 99)
    stage.fabric.stop(stage.alerts)
    stage.alerts.settings.state.unlink()
    assert list(stage.shown) == ["cpu/1.000/web"]

    stage.fabric.start(Alerts())

    assert stage.shown == {}


def test_what_the_node_has_lost_is_told_again(stage: Stage) -> None:
    stage.cpu(1, 99)
    stage.fabric.run(stage.host.delete(ALERTS_RAISED, {"id": "cpu/1.000/web"}))
    assert stage.shown == {}

    stage.fabric.cut(stage.alerts)
    stage.fabric.advance(30)

    assert list(stage.shown.values()) == stage.active != []


def test_what_could_not_be_published_is_published_at_the_next_sample(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any, **__: Any) -> None:
        raise RemoteError("the journal is full", code="hopsack.overloaded")

    with monkeypatch.context() as patched:
        patched.setattr(stage.alerts, "publish", full)
        stage.cpu(1, 99)
    assert stage.shown == {}

    stage.cpu(2, 99)

    assert list(stage.shown) == ["cpu/1.000/web"]
