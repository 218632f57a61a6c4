from __future__ import annotations

import os

import pytest

from hopsack.settings import ConfigError
from watch.roots import Roots


def test_the_default_is_the_current_folder() -> None:
    roots = Roots.from_environ({})

    assert roots.folders == {"project": os.getcwd()}
    assert roots.ignore == (".*", "node_modules", "__pycache__")


def test_several_roots() -> None:
    roots = Roots.from_environ({"WATCH_ROOTS": "home=/data, etc=/etc/", "WATCH_IGNORE": ""})

    assert roots.folders == {"home": "/data", "etc": "/etc"}
    assert roots.ignore == ()


@pytest.mark.parametrize("value", ["/data", "Home=/data", "a.b=/data", "home=", "home=/a,home=/b", "home=/a,", "=/a"])
def test_what_cannot_be_right_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="WATCH_ROOTS"):
        Roots.from_environ({"WATCH_ROOTS": value})
