from __future__ import annotations

from pathlib import Path

import pytest

from alerts.settings import AlertsSettings
from hopsack.settings import ConfigError

DATA = Path("/data")


def test_the_defaults() -> None:
    assert AlertsSettings.from_environ({}, DATA) == AlertsSettings("duty", 60.0, Path("/data/alerts.json"))


def test_what_is_given() -> None:
    environ = {"ALERTS_OPERATOR": "", "ALERTS_ASK_S": "5", "ALERTS_STATE": "/var/a.json"}

    assert AlertsSettings.from_environ(environ, DATA) == AlertsSettings("", 5.0, Path("/var/a.json"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALERTS_OPERATOR", "a.b"), ("ALERTS_ASK_S", "0"), ("ALERTS_ASK_S", "121"), ("ALERTS_ASK_S", "nan")],
)
def test_what_cannot_be_right_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        AlertsSettings.from_environ({name: value}, DATA)
