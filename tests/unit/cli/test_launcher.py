"""The launcher, with small scripts that play Python, uv, Node.js and npm and write down what they were asked.

Its PATH holds only those and the tools that POSIX names, so that the machine's own Pythons cannot help.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOLS = [
    "sh",
    "cat",
    "cksum",
    "mkdir",
    "mv",
    "rm",
    "dirname",
    "readlink",
    "sleep",
    "tail",
    "sed",
    "find",
    "sort",
    "grep",
]
INSTALLED_FROM = [
    "requirements/bootstrap.txt",
    "requirements/dev.txt",
    "pyproject.toml",
    "router/pyproject.toml",
    "router/hatch_build.py",
    "router/hopsack_router/doors/_straight.c",
]

PYTHON = """#!/bin/sh
# $DIARY: what was asked; $FAIL: what fails, and with which words
echo "python $*" >>"$DIARY"
case "$*" in
    -c*) exit ${OLD:-0} ;;
    *venv*)
        case "${FAIL:-}" in venv:*) echo "${FAIL#venv:}" >&2; exit 1 ;; esac
        rm -rf .venv
        mkdir -p .venv/bin
        cp "$0" .venv/bin/python ;;
    *bootstrap.txt)
        case "${FAIL:-}" in pip:*) echo "${FAIL#pip:}" >&2; exit 1 ;; esac
        cp "$UV" .venv/bin/uv ;;
    *hopsack.cli*)
        shift 3
        echo "cli $HOPSACK_PROJECT $(pwd) $*" ;;
    *)
        case "${FAIL:-}" in all:*) echo "${FAIL#all:}" >&2; exit 1 ;; esac ;;
esac
"""
UV = """#!/bin/sh
echo "uv $1 $2" >>"$DIARY"
case "${FAIL:-}" in
    uv:*) echo "${FAIL#uv:}" >&2; exit 1 ;;
    all:*) echo "${FAIL#all:}" >&2; exit 1 ;;
esac
[ -z "${HALT:-}" ] || { echo here >"$HALT"; cat "$HALT" >/dev/null; }
"""
NODE = """#!/bin/sh
echo "${NODE_VERSION:-v20.20.0}"
"""
NPM = """#!/bin/sh
echo "npm $1" >>"$DIARY"
case "${FAIL:-}" in npm:*) echo "${FAIL#npm:}" >&2; exit 1 ;; esac
case $1 in
    ci) mkdir -p node_modules ;;
    run) mkdir -p dist && echo page >dist/index.html ;;
esac
"""


class Machine:
    """A checkout and the programs of one machine."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a checkout"
        self.bin = folder / "bin"
        self.diary = folder / "diary"
        (self.root / "requirements").mkdir(parents=True)
        (self.root / "router" / "hopsack_router" / "doors").mkdir(parents=True)
        self.bin.mkdir()
        shutil.copy(ROOT / "hopsack", self.root)
        for name in INSTALLED_FROM:
            (self.root / name).write_text(name)
        for tool in [*TOOLS, "cp"]:
            (self.bin / tool).symlink_to(str(shutil.which(tool)))
        self.program("python3.12", PYTHON)
        (folder / "uv").write_text(UV)
        (folder / "uv").chmod(0o755)
        self.env = {"PATH": str(self.bin), "DIARY": str(self.diary), "UV": str(folder / "uv")}

    def program(self, name: str, code: str) -> None:
        (self.bin / name).write_text(code)
        (self.bin / name).chmod(0o755)

    def with_web(self) -> None:
        (self.root / "web_client").mkdir()
        for name in ("package.json", "package-lock.json", "main.ts"):
            (self.root / "web_client" / name).write_text(name)
        self.program("node", NODE)
        self.program("npm", NPM)

    def start(
        self, *words: str, launcher: Path | None = None, cwd: Path | None = None, user: int | None = None, **env: str
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(launcher or self.root / "hopsack"), *words],
            env={**self.env, **env},
            cwd=cwd,
            user=user,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def launch(
        self, *words: str, launcher: Path | None = None, cwd: Path | None = None, user: int | None = None, **env: str
    ) -> tuple[int, str, str]:
        """(exit code, stdout, stderr)."""
        process = self.start(*words, launcher=launcher, cwd=cwd, user=user, **env)
        out, err = process.communicate(timeout=30)
        return process.returncode, out, err

    def asked(self) -> list[str]:
        """What was asked since the last look; without version checks and the command line itself."""
        lines = self.diary.read_text().splitlines() if self.diary.exists() else []
        self.diary.unlink(missing_ok=True)
        return [line for line in lines if " -c " not in line and "hopsack.cli" not in line]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


MADE_ANEW = [
    "python -m venv --clear .venv",
    "python -m pip install -q --no-input --no-deps --require-hashes -r requirements/bootstrap.txt",
    "uv pip sync",
    "uv pip install",
]
UPDATED = ["uv pip sync", "uv pip install"]


def test_the_first_use_makes_the_environment_and_the_next_finds_it(machine: Machine) -> None:
    first = machine.launch("status", "--json")
    made = machine.asked()
    second = machine.launch("status", "--json")

    assert first == second == (0, f"cli {machine.root} {Path.cwd()} status --json\n", "")
    assert made == MADE_ANEW
    assert machine.asked() == []


def test_it_works_through_links_and_from_any_folder(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "one").symlink_to(machine.root / "hopsack")
    (tmp_path / "two").symlink_to("elsewhere/one")

    code, out, _ = machine.launch("status", launcher=tmp_path / "two", cwd=tmp_path / "elsewhere")

    assert (code, out) == (0, f"cli {machine.root} {tmp_path / 'elsewhere'} status\n")


def test_a_project_that_is_given_is_kept(machine: Machine) -> None:
    assert machine.launch("status", HOPSACK_PROJECT="/srv/mine")[1].startswith("cli /srv/mine ")


@pytest.mark.parametrize("name", ["requirements/dev.txt", "requirements/bootstrap.txt", "pyproject.toml"])
def test_a_changed_requirement_updates_the_environment_in_place(machine: Machine, name: str) -> None:
    machine.launch()
    machine.asked()

    (machine.root / name).write_text("changed")

    assert machine.launch()[0] == 0
    assert machine.asked() == UPDATED


def test_an_environment_made_by_hand_is_updated_not_thrown_away(machine: Machine) -> None:
    machine.launch()
    (machine.root / ".venv" / "hopsack.stamp").unlink()
    machine.asked()

    machine.launch()

    assert machine.asked() == UPDATED


def test_one_that_was_not_finished_is_made_anew(machine: Machine) -> None:
    code, _, err = machine.launch(FAIL="all:connection refused")
    assert code == 1
    assert "cannot install the packages" in err
    assert "connection refused" in err
    machine.asked()

    assert machine.launch()[0] == 0
    assert machine.asked() == MADE_ANEW


def test_a_checkout_that_moved_is_made_anew(machine: Machine, tmp_path: Path) -> None:
    machine.launch()
    machine.asked()

    machine.root = machine.root.rename(tmp_path / "moved")

    assert machine.launch()[0] == 0
    assert machine.asked() == MADE_ANEW


def test_pip_takes_over_where_uv_cannot(machine: Machine) -> None:
    code, _, err = machine.launch(FAIL="uv:dns error")

    assert (code, err) == (0, "")
    assert machine.asked()[-2:] == [
        "python -m pip install -q --no-input --no-deps --require-hashes -r requirements/dev.txt",
        "python -m pip install -q --no-input --no-deps --no-build-isolation -e . -e router",
    ]


def one_line(result: tuple[int, str, str]) -> tuple[int, str]:
    code, out, err = result
    assert out == ""
    assert err.count("\n") == 1
    return code, err.strip()


def test_an_old_python_is_one_line(machine: Machine) -> None:
    machine.program("python3", "#!/bin/sh\n[ $1 = --version ] && echo Python 3.9.2\nexit 1\n")
    machine.program("python3.12", "#!/bin/sh\necho 'pyenv: python3.12: command not found' >&2\nexit 127\n")

    assert one_line(machine.launch()) == (
        1,
        "hopsack: needs Python 3.11 or newer, and found Python 3.9.2: install one, or name it in HOPSACK_PYTHON",
    )


def test_no_python_is_one_line(machine: Machine) -> None:
    (machine.bin / "python3.12").unlink()

    assert one_line(machine.launch())[1].startswith("hopsack: needs Python 3.11 or newer, and found none")


def test_a_python_that_is_named_is_used_or_refused(machine: Machine) -> None:
    machine.program("mine", PYTHON)

    assert machine.launch(HOPSACK_PYTHON="mine")[0] == 0
    shutil.rmtree(machine.root / ".venv")
    assert one_line(machine.launch(HOPSACK_PYTHON="mine", OLD="1")) == (
        3,
        "hopsack: HOPSACK_PYTHON=mine is not a Python 3.11 or newer that runs",
    )


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ("all:OSError: [Errno 28] No space left on device", "no space left on the disk of"),
        ("venv:Error: [Errno 28] No space left on device", "no space left on the disk of"),
        ("venv:OSError: [Errno 30] Read-only file system", "cannot write to"),
        ("venv:The virtual environment was not created: ensurepip is not available", "apt install python3-venv"),
        ("all:Hash mismatch for uv", "is not the one that was pinned"),
    ],
)
def test_known_failures_are_one_line(machine: Machine, failure: str, words: str) -> None:
    code, line = one_line(machine.launch(FAIL=failure))

    assert code == 1
    assert words in line


def test_a_checkout_that_cannot_be_written_is_one_line() -> None:
    with tempfile.TemporaryDirectory() as folder:  # not below pytest's, which only its owner may enter
        Path(folder).chmod(0o755)
        machine = Machine(Path(folder))
        machine.root.chmod(0o555)
        nobody = 65534 if os.geteuid() == 0 else None  # root may write everywhere

        result = machine.launch(user=nobody)

        machine.root.chmod(0o755)
    assert one_line(result) == (1, f"hopsack: cannot write to {machine.root}: the environment is made there, in .venv")


def test_two_launchers_at_once_make_one_environment(machine: Machine, tmp_path: Path) -> None:
    halt = tmp_path / "halt"
    os.mkfifo(halt)
    first = machine.start("one", HALT=str(halt))
    halt.read_text()  # the first is in the middle of its work

    second = machine.start("two")
    halt.write_text("go on")
    halt.read_text()  # its second step
    halt.write_text("go on")

    assert first.communicate(timeout=30)[0].endswith(" one\n")
    assert second.communicate(timeout=30)[0].endswith(" two\n")
    assert machine.asked() == MADE_ANEW
    assert not (machine.root / ".venv.lock").exists()


@pytest.fixture
def hangups_heard() -> Iterator[None]:
    """A shell cannot trap what was ignored when it started, and under `nohup` everything starts deaf to SIGHUP."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangups_heard")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_an_interrupted_launcher_leaves_nothing_that_looks_done(
    machine: Machine, tmp_path: Path, number: signal.Signals
) -> None:
    halt = tmp_path / "halt"
    os.mkfifo(halt)
    process = machine.start(HALT=str(halt))
    halt.read_text()
    process.send_signal(number)
    halt.write_text("go on")  # a shell ends when its child does
    process.communicate(timeout=30)
    assert process.returncode != 0
    machine.asked()

    assert machine.launch()[0] == 0
    assert machine.asked() == MADE_ANEW
    assert not (machine.root / ".venv.lock").exists()


def test_a_lock_of_the_dead_is_taken(machine: Machine) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    (machine.root / ".venv.lock").mkdir()
    (machine.root / ".venv.lock" / "pid").write_text(f"{dead.pid}\n")

    assert machine.launch()[0] == 0
    assert not list(machine.root.glob(".venv.lock*"))


# ----- the web pages


def test_pages_are_built_when_their_sources_changed(machine: Machine) -> None:
    machine.with_web()

    machine.launch("up")
    first = machine.asked()[len(MADE_ANEW) :]
    machine.launch("up")
    second = machine.asked()
    (machine.root / "web_client" / "main.ts").write_text("changed")
    machine.launch("up")

    assert (first, second, machine.asked()) == (["npm ci", "npm run"], [], ["npm run"])


def test_packages_are_installed_again_when_their_lock_changed(machine: Machine) -> None:
    machine.with_web()
    machine.launch("up")
    machine.asked()

    (machine.root / "web_client" / "package-lock.json").write_text("changed")
    machine.launch("test", "unit")

    assert machine.asked() == ["npm ci", "npm run"]


@pytest.mark.parametrize("words", [["status"], ["up", "--help"], ["--version"], ["pub", "up"], []])
def test_only_verbs_that_show_pages_build_them(machine: Machine, words: list[str]) -> None:
    machine.with_web()

    machine.launch(*words)

    assert machine.asked() == MADE_ANEW


@pytest.mark.parametrize(
    ("version", "why"),
    [
        (None, "Node.js is not installed"),
        ("v16.20.2", "Node.js v16.20.2 is too old"),
        ("v20.18.3", "Node.js v20.18.3 is too old"),
        ("strange", "Node.js strange is too old"),
    ],
)
def test_a_machine_without_node_js_loses_only_the_pages(machine: Machine, version: str | None, why: str) -> None:
    machine.with_web()
    if version is None:
        (machine.bin / "node").unlink()

    code, out, err = machine.launch("up", NODE_VERSION=version or "")

    assert (code, out.endswith(" up\n")) == (0, True)
    assert err == f"hopsack: {why} (20.19 or newer is needed): the web pages are not built; everything else works\n"


def test_a_newer_node_js_will_do(machine: Machine) -> None:
    machine.with_web()

    assert machine.launch("up", NODE_VERSION="v24.1.0")[2] == ""


def test_a_failed_build_says_why_and_goes_on(machine: Machine) -> None:
    machine.with_web()

    code, out, err = machine.launch("up", FAIL="npm:error TS2304: Cannot find name 'x'")

    assert (code, out.endswith(" up\n")) == (0, True)
    assert err.splitlines() == [
        "hopsack: the web client's build failed: the web pages are not built; everything else works; it said:",
        "    error TS2304: Cannot find name 'x'",
    ]


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="ShellCheck is not installed: apt install shellcheck")
def test_the_launcher_is_clean_in_the_eyes_of_shellcheck() -> None:
    done = subprocess.run(["shellcheck", str(ROOT / "hopsack")], capture_output=True, text=True, check=False)

    assert done.stdout == ""
