"""The build hook: it compiles the accelerator where it can, and never fails an installation."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hopsack_router.doors import sockets

ROUTER = Path(__file__).parents[3] / "router"


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    pytest.importorskip("hatchling")
    spec = importlib.util.spec_from_file_location("hatch_build", ROUTER / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class App:
    def __init__(self) -> None:
        self.said: list[str] = []

    def display_warning(self, message: str) -> None:
        self.said.append(message)


def built(hook: ModuleType, root: Path) -> tuple[dict[str, Any], list[str]]:
    """What the hook tells hatchling, and the person."""
    app, data = App(), {"artifacts": [], "pure_python": True}
    hook.Accelerator(str(root), {}, None, None, str(root), "wheel", app=app).initialize("standard", data)
    return data, app.said


@pytest.fixture
def router(hook: ModuleType, tmp_path: Path) -> Path:
    """A folder with the source, and what an earlier build left there."""
    (tmp_path / hook.SOURCE).parent.mkdir(parents=True)
    (tmp_path / hook.SOURCE).write_bytes((ROUTER / hook.SOURCE).read_bytes())
    (tmp_path / hook.MODULE).write_text("old")
    return tmp_path


@pytest.mark.skipif(not sockets.ACCELERATED, reason="the accelerator is not built here")
def test_what_it_compiles_can_be_loaded(hook: ModuleType, router: Path) -> None:
    data, said = built(hook, router)

    spec = importlib.util.spec_from_file_location("_straight", router / hook.MODULE)
    assert spec is not None
    assert importlib.util.module_from_spec(spec).send_all([], []) is None
    assert data["artifacts"] == ["/hopsack_router/doors/_straight.abi3.so"]
    assert data["tag"].startswith("cp311-abi3-")
    assert said == []


def test_without_a_compiler_it_says_so_and_goes_on(
    hook: ModuleType, router: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook.shutil, "which", lambda name: None)

    data, said = built(hook, router)

    assert data == {"artifacts": [], "pure_python": True}
    assert said == ["hopsack-router is built without its accelerator: there is no C compiler"]
    assert not (router / hook.MODULE).exists()


def test_a_compiler_that_fails_is_quoted_in_one_line(
    hook: ModuleType, router: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = router / "cc"
    failing.write_text("#!/bin/sh\necho 'this is not C' >&2\necho 'nor is this' >&2\nexit 1\n")
    failing.chmod(0o755)
    headers = router / "include"
    headers.mkdir()
    (headers / "Python.h").touch()
    monkeypatch.setenv("CC", str(failing))
    monkeypatch.setattr(hook.sysconfig, "get_path", lambda name: str(headers))

    _, (line,) = built(hook, router)

    assert line.endswith("this is not C")
    assert sorted(path.name for path in (router / hook.SOURCE).parent.iterdir()) == ["_straight.c"]


def test_without_pythons_headers_it_says_so(hook: ModuleType, router: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", sys.executable)
    monkeypatch.setattr(hook.sysconfig, "get_path", lambda name: str(router))

    _, (line,) = built(hook, router)

    assert "there is no Python.h" in line
