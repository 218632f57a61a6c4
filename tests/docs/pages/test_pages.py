"""The pages of the documents, opened in Chromium beside a fabric that a reader has started."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from hopsack.cli import doctor
from tests.docs.markdown import ROOT, blocks
from tests.docs.reader import SECONDS, Checkout, Reader, reading

PAGES = Path(__file__).with_name("pages.mjs")
UP = "Hopsack is up.\n"

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.fixture(scope="module", autouse=True)
def _browser() -> None:
    for finding in (doctor.node_js(), doctor.chromium()):
        if finding.verdict != "ok":
            pytest.skip(f"{finding.what} is {finding.text}: {finding.cure}")
    if not (ROOT / "web_client" / "node_modules" / "playwright-core").is_dir():
        pytest.skip("playwright-core is not installed: npm ci, in web_client")
    if not (ROOT / "web_client" / "dist" / "sdk.js").is_file():
        pytest.skip("the web client is not built: npm run build, in web_client")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader with everything up."""
    with reading(tmp_path_factory.mktemp("checkout")) as reader:
        reader.begin("./hopsack up", UP)
        yield reader


def see(
    scenario: str,
    checkout: Checkout,
    actions: Mapping[str, Callable[[], object]] | None = None,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Play a scenario of ``pages.mjs``.

    :param actions: what it may ask for.
    """
    command = ["node", str(PAGES), scenario, str(checkout.folder), checkout.http]
    with subprocess.Popen(
        command,
        env={**os.environ, **(environ or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as browser:
        assert browser.stdin is not None
        assert browser.stdout is not None
        for line in browser.stdout:
            (actions or {})[line.removeprefix("ask ").strip()]()
            print("done", file=browser.stdin, flush=True)
        _, said = browser.communicate()
    assert browser.returncode == 0, said


def page_of(document: str, name: str) -> str:
    (page,) = [block.text for block in blocks(ROOT / document) if block.word == name]
    return page


def test_the_page_of_the_readme(reader: Reader) -> None:
    page = page_of("README.md", "page.html")
    reader.checkout.write("page.html", page)

    see("readme", reader.checkout)

    assert len(page.splitlines()) <= 10


def test_the_counter_counts_and_survives_a_restart(reader: Reader) -> None:
    see("counter", reader.checkout, {"restart": reader.restart})


def test_a_page_calls_a_page(reader: Reader) -> None:
    see("call", reader.checkout)


def test_a_folder_is_pushed_to_pages(reader: Reader) -> None:
    reader.checkout.write("README.md", "")
    reader.begin("./hopsack run docs/tutorial/listing", "listing is ready\n")

    see("listing", reader.checkout)


def test_changes_are_pushed_to_a_page(reader: Reader) -> None:
    see("changes", reader.checkout)


def test_a_page_is_whoever_its_token_says(reader: Reader) -> None:
    reader.checkout.write("pages/me.html", page_of("docs/how-to/page-without-a-build.md", "pages/me.html"))

    see("me", reader.checkout, environ={"TOKEN": token(reader)})


def token(reader: Reader) -> str:
    terminal = reader.checkout.start("./hopsack token --role user --sub ann --for 1h")
    try:
        assert terminal.end(SECONDS) == 0
        return str(terminal.said.split()[0])
    finally:
        terminal.close()


def test_a_page_of_another_origin(reader: Reader) -> None:
    reader.checkout.write("pages/page.html", page_of("README.md", "page.html"))
    server = reader.begin("python3 -um http.server --bind 127.0.0.1 --directory pages 0", "Serving HTTP on …")
    (port,) = re.findall(r"port (\d+)", server.said)

    see("elsewhere", reader.checkout, environ={"ELSEWHERE": f"http://127.0.0.1:{port}"})


def test_what_is_pasted_into_the_console(reader: Reader) -> None:
    snippets = [block.text for block in blocks(ROOT / "docs/how-to/plain-clients.md") if block.word == "console"]

    see("console", reader.checkout, environ={"SNIPPETS": json.dumps([reader.checkout.here(text) for text in snippets])})

    assert len(snippets) == 2


def test_the_node_serves_a_page(tmp_path: Path) -> None:
    with reading(tmp_path) as reader:
        reader.follow(ROOT / "docs/how-to/page-without-a-build.md")
        see("served", reader.checkout)
        see("login", reader.checkout, environ={"TOKEN": token(reader)})
