"""A reader who follows a document: a checkout on ports of its own, and its commands typed one after the other.

What is shown is what must come. Addresses are the only difference: the documents say 8080 and 8081, a test has whatever
ports were free, and the two are exchanged in files, commands and output.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from hopsack.cli.doctor import said
from tests.docs.markdown import ROOT, Block, blocks
from tests.docs.terminal import Terminal

SHOWN = ("8080", "8081")
"""The ports in the documents: HTTP, RawSocket."""

LASTING = re.compile(r"\./hopsack (up|run|sub)\b|curl -N|python3 -m http\.server|\.venv/bin/python read\.py")
"""Commands that go on until Ctrl-C."""

SECONDS = 40.0

_COPIED = (
    "pyproject.toml",
    "schemas",
    "services",
    "docs/tutorial",
    "docs/reference/errors.md",
    "web_client/console/src/contracts.ts",
    "web_client/sdk/src/errors.generated.ts",
)


class Checkout:
    """What a reader has after ``git clone``, with what the launcher makes in it.

    :ivar folder: where it is.
    :ivar ports: of the node, once there is one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = SHOWN
        for name in _COPIED:
            self._copy(name)
        (folder / ".venv").symlink_to(sys.prefix)
        (folder / "web_client" / "dist").symlink_to(ROOT / "web_client" / "dist")
        launcher = folder / "hopsack"
        launcher.write_text(f'#!/bin/sh\nHOPSACK_PROJECT={folder} exec {sys.executable} -P -m hopsack.cli "$@"\n')
        launcher.chmod(0o755)

    def _copy(self, name: str) -> None:
        source, target = ROOT / name, self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.here(text), encoding="utf-8")
        return path

    def start(self, command: str) -> Terminal:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HOPSACK_")}
        http, rawsocket = ("0", "0") if self.ports == SHOWN else self.ports
        env = kept | {"HOPSACK_PORT": http, "HOPSACK_RAWSOCKET_PORT": rawsocket, "TERM": "xterm"}
        return Terminal(re.sub(" 8000$", " 0", self.here(command)), self.folder, env)  # another server's port

    def find_ports(self) -> None:
        """Learn where the node is, and write it where the documents' files say 8080."""
        run = json.loads((self.folder / ".hopsack" / "run.json").read_text())
        before, self.ports = self.ports, (str(urlsplit(run["http"]).port), str(urlsplit(run["rawsocket"]).port))
        for path in (self.folder / "docs" / "tutorial").rglob("*"):
            if path.suffix in (".py", ".html"):
                path.write_text(_exchanged(path.read_text(encoding="utf-8"), before, self.ports), encoding="utf-8")

    def here(self, text: str) -> str:
        """What a document says, with the ports of this node."""
        return _exchanged(text, SHOWN, self.ports)

    def there(self, text: str) -> str:
        """What was printed, with the ports of the documents."""
        return _exchanged(text, self.ports, SHOWN)


def _exchanged(text: str, ports: tuple[str, str], others: tuple[str, str]) -> str:
    for one, other in zip(ports, others, strict=True):
        text = re.sub(rf"(127\.0\.0\.1|localhost):{one}\b", rf"\g<1>:{other}", text)
    return text


class Reader:
    """Types the commands of documents in one checkout."""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout
        self._running: list[Terminal] = []

    def follow(self, document: Path) -> None:
        """Write its files and type its commands, in the order in which they stand there."""
        behind = {before.line: block for before, block in pairwise(blocks(document)) if block.follows}
        for block in blocks(document):
            if block.language == "sh" and block.word != "elsewhere":
                output = behind.get(block.line)
                self.type(block, output if output is not None and output.language == "text" else None)
            elif "." in block.word:
                self.checkout.write(block.word, block.text)

    def type(self, block: Block, output: Block | None) -> None:
        """Type the commands of one block, and compare what they print with what is shown.

        Beside a command that lasts, what is shown is what that one prints.
        """
        printed = []
        lasting = [command for command in commands(block) if LASTING.match(command)]
        for command in commands(block):
            if command in lasting:
                self.begin(command, output.text if output is not None else "…\n")
                continue
            terminal = self.checkout.start(command)
            try:
                code = terminal.end(SECONDS)
                assert code == exit_code(block), f"line {block.line}: `{command}` ended with {code}:\n{terminal.said}"
            finally:
                terminal.close()
            printed.append(self.checkout.there(terminal.said))
        if not lasting and output is not None:
            text = "".join(printed).strip("\n")
            assert expected(output.text).fullmatch(text), f"line {output.line} shows\n{output.text}\nand it is\n{text}"

    def begin(self, command: str, shown: str) -> Terminal:
        """Start what lasts, and wait until it has printed what is shown."""
        is_up = command.startswith("./hopsack up")
        if is_up:
            self.end("./hopsack up")
        terminal = self.checkout.start(command)
        self._running.append(terminal)
        if is_up:
            terminal.wait_for(re.compile("Hopsack is up"), SECONDS)
            self.checkout.find_ports()
        terminal.wait_for(expected(self.checkout.here(shown)), SECONDS)
        return terminal

    def restart(self) -> None:
        """End what is up, and start it again."""
        self.begin("./hopsack up", "Hopsack is up.")

    def end(self, command: str) -> None:
        """Type Ctrl-C to what was started so, which must then end well."""
        for terminal in [one for one in self._running if one.command.startswith(command)]:
            self._running.remove(terminal)
            try:
                code = terminal.interrupt(SECONDS)
                assert code == 0 or "hopsack" not in terminal.command, f"`{terminal.command}` ended with {code}"
            finally:
                terminal.close()

    def leave(self) -> None:
        """Type Ctrl-C everywhere, the last first."""
        for terminal in list(reversed(self._running)):
            self.end(terminal.command)

    def close(self) -> None:
        for terminal in self._running:
            terminal.close()


@contextmanager
def reading(folder: Path) -> Iterator[Reader]:
    """A reader with a fresh checkout; everything they started has ended at the end."""
    reader = Reader(Checkout(folder))
    try:
        yield reader
        reader.leave()
    finally:
        reader.close()


def commands(block: Block) -> list[str]:
    lines = block.text.replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


def exit_code(block: Block) -> int:
    return int(block.word.removeprefix("exit-")) if block.word.startswith("exit-") else 0


def expected(shown: str) -> re.Pattern[str]:
    """What is shown as a pattern: … is anything within a line, and any lines where it stands alone.

    Columns may be wider or narrower than they are shown: their width follows from what else is in the table.
    """
    lines = [".*(?:\n.*)*?" if line == "…" else _pattern_of(line) for line in shown.strip("\n").split("\n")]
    return re.compile("^" + "\n".join(lines) + "$", re.M)


def _pattern_of(line: str) -> str:
    return re.sub(r"(\\ )+", " +", re.escape(line)).replace("…", ".*")


def lacking(program: str) -> str | None:
    """Why a program cannot be used here, and how to get it."""
    if said(program, "--version") is None:
        return f"{program} is not installed: apt install {program}"
    return None
