from __future__ import annotations

from pathlib import Path

import pytest

from hopsack.cli.output import Column, emit_rows
from hopsack.cli.screen import banner
from hopsack.settings import Settings
from hopsack.supervise.state import RunState

RUN = RunState(1, "", 0.0, "ready", "", "http://127.0.0.1:8080", "tcp://127.0.0.1:8081")


def line_about_pages(project: Path, web: Path | None) -> str:
    settings = Settings.from_environ({"HOPSACK_PROJECT": str(project)}, web=web)
    return banner(RUN, settings, (), "hopsack", None, detached=False).splitlines()[3].strip()


@pytest.mark.parametrize("is_made", [True, False])
def test_the_banner_calls_only_the_dashboard_a_dashboard(tmp_path: Path, is_made: bool) -> None:
    ours, mine = tmp_path / "web_client" / "dist", tmp_path / "mine"
    for folder in (ours, mine):
        folder.mkdir(parents=True)
        if is_made:
            (folder / "index.html").write_text("")

    said = (
        ["", ""]
        if is_made
        else [f"   (no pages yet: {ours} is not built)", f"   (no pages yet: {mine} has no index.html)"]
    )

    assert line_about_pages(tmp_path, None) == f"dashboard  http://127.0.0.1:8080/{said[0]}"
    assert line_about_pages(tmp_path, mine) == f"your pages http://127.0.0.1:8080/{said[1]}"


def test_a_table_never_cuts_what_does_not_wrap(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("hopsack.cli.output.for_people", lambda _: True)
    row = {
        "session": 8194480027385113,
        "who": "a-name-of-some-length",
        "words": "many words that may take several lines",
    }

    emit_rows(
        [row], (Column("session", "session"), Column("who", "who"), Column("words", "words", wraps=True)), False, ""
    )

    shown = capsys.readouterr().out
    assert "8194480027385113  a-name-of-some-length  many words that may" in shown
    assert "several lines" in shown
