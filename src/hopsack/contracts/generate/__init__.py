"""What ``hopsack generate`` writes: types for Python and TypeScript, and, in Hopsack's own tree, the tables of errors.

    outputs = plan(catalogue, Path.cwd())
    stale(outputs)      # --check: the paths that differ
    write(outputs)      # the paths that were changed

The same catalogue gives the same bytes. :func:`outputs` touches no disk; :func:`stale` reads, :func:`write` writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hopsack.contracts.catalogue import Catalogue
from hopsack.contracts.generate import python, shapes, tables, typescript
from hopsack.contracts.generate.shapes import vocabulary
from hopsack.contracts.problems import ContractsInvalid, Problem

__all__ = [
    "ERROR_PAGE",
    "ERROR_TABLE",
    "PYTHON",
    "TYPESCRIPT",
    "Output",
    "check",
    "outputs",
    "plan",
    "python_types",
    "shapes",
    "stale",
    "tables",
    "typescript_types",
    "write",
]

PYTHON = Path("services/hopsack_contracts.py")
TYPESCRIPT = Path("web_client/console/src/contracts.ts")
ERROR_TABLE = Path("web_client/sdk/src/errors.generated.ts")
ERROR_PAGE = Path("docs/reference/errors.md")


class Output(NamedTuple):
    """One file that is generated."""

    path: Path
    text: str


def python_types(catalogue: Catalogue) -> str:
    """The Python module of these contracts.

    :raise ContractsInvalid: something cannot be typed.
    """
    return python.module(vocabulary(catalogue))


def typescript_types(catalogue: Catalogue) -> str:
    """The TypeScript module of these contracts.

    :raise ContractsInvalid: something cannot be typed.
    """
    return typescript.module(vocabulary(catalogue))


def check(catalogue: Catalogue) -> list[Problem]:
    """What cannot be typed: the part of ``hopsack check`` that loading does not do."""
    try:
        outputs(catalogue, PYTHON, TYPESCRIPT)
    except ContractsInvalid as invalid:
        return invalid.problems
    return []


def outputs(catalogue: Catalogue, python: Path | None, typescript: Path | None) -> list[Output]:
    """The files of these contracts; ``None`` leaves a language out.

    :raise ContractsInvalid: something cannot be typed.
    """
    files = []
    if python is not None:
        files.append(Output(python, python_types(catalogue)))
    if typescript is not None:
        files.append(Output(typescript, typescript_types(catalogue)))
    return files


def plan(catalogue: Catalogue, root: Path, python: Path | None = None, typescript: Path | None = None) -> list[Output]:
    """What a project's ``hopsack generate`` writes.

    :param root: the project's folder. Where no path is given, a language is written to its usual place below it, if
        that place's folder is there. Hopsack's own tree also gets the tables of errors.
    :raise ContractsInvalid: something cannot be typed.
    """
    if python is None and (root / PYTHON).parent.is_dir():
        python = root / PYTHON
    if typescript is None and (root / TYPESCRIPT).parent.is_dir():
        typescript = root / TYPESCRIPT
    files = outputs(catalogue, python, typescript)
    if (root / "src/hopsack/errors.py").is_file():
        files.append(Output(root / ERROR_TABLE, tables.typescript()))
        files.append(Output(root / ERROR_PAGE, tables.markdown()))
    return files


def stale(files: Sequence[Output]) -> list[Path]:
    """The files that are missing or differ from what would be written."""
    return [file.path for file in files if _current(file.path) != file.text.encode()]


def write(files: Sequence[Output]) -> list[Path]:
    """Write what differs, and only that, so that nobody who watches the files is woken for nothing.

    :return: the paths that were written.
    """
    changed = stale(files)
    for file in files:
        if file.path in changed:
            file.path.parent.mkdir(parents=True, exist_ok=True)
            file.path.write_bytes(file.text.encode())
    return changed


def _current(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
