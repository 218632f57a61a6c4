from __future__ import annotations

from msgspec.structs import replace

from alerts.agreement import Put, Remove, differences
from alerts.board import DEFAULTS
from hopsack_contracts import Alert

FIRST = Alert(
    id="cpu/1/web",
    host="web",
    metric="cpu",
    value=99,
    threshold=DEFAULTS["cpu"],
    at=1,
    message="busy",
    acknowledged_by=None,
    cleared_at=None,
)
SECOND = replace(FIRST, id="cpu/2/db", host="db", at=2)


def held(*alerts: Alert) -> dict[str, Alert]:
    return {alert.id: alert for alert in alerts}


def test_what_agrees_is_left_alone() -> None:
    assert differences(held(FIRST, SECOND), [FIRST, SECOND]) == []


def test_a_new_alert_is_published_and_one_that_is_over_is_deleted_first() -> None:
    assert differences(held(FIRST), [SECOND]) == [Remove(FIRST.id), Put(SECOND)]


def test_an_acknowledged_alert_is_published_again() -> None:
    taken = replace(FIRST, acknowledged_by="ada")

    assert differences(held(FIRST, SECOND), [taken, SECOND]) == [Put(taken)]


def test_a_topic_that_lost_everything_is_told_everything_oldest_first() -> None:
    assert differences({}, [FIRST, SECOND]) == [Put(FIRST), Put(SECOND)]
