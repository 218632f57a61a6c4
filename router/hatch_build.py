"""Compiles the accelerator (``hopsack_router/doors/_straight.c``) when the router is built or installed.

It never fails an installation: without a compiler or Python's headers it says so in one line, and the router does in
Python what the accelerator does in C. An editable installation gets the module beside its source; a wheel with it is
one for this platform and every CPython from 3.11 on, a wheel without it is one for all.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("hopsack_router", "doors", "_straight.c")
MODULE = SOURCE.with_suffix(".abi3.so")


class Accelerator(BuildHookInterface):  # type: ignore[type-arg]
    """Called by hatchling before each wheel, editable ones too."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        why_not = compile_into(root / MODULE, root / SOURCE)
        if why_not:
            # What an earlier build left there may be of another source.
            (root / MODULE).unlink(missing_ok=True)
            self.app.display_warning(f"hopsack-router is built without its accelerator: {why_not}")
        else:
            build_data["artifacts"].append(f"/{MODULE.as_posix()}")
            build_data["pure_python"] = False
            build_data["tag"] = f"cp311-abi3-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def compile_into(module: Path, source: Path) -> str | None:
    """Compile an extension module.

    :returns: in a few words why not, if not.
    """
    compiler = _compiler()
    headers = sysconfig.get_path("include")
    if compiler is None:
        return "there is no C compiler"
    if not Path(headers, "Python.h").is_file():
        return f"there is no Python.h in {headers}"
    fresh = module.with_suffix(f".{os.getpid()}")
    link = ["-shared", "-fPIC", *(["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else [])]
    command = [*compiler, "-O2", *link, f"-I{headers}", "-o", str(fresh), str(source)]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if ran.returncode:
            return f"{compiler[0]}: {next(iter(ran.stderr.splitlines()), 'failed')}"
        fresh.replace(module)  # a node that runs keeps the module it has
    except OSError as error:
        return str(error)
    finally:
        fresh.unlink(missing_ok=True)
    return None


def _compiler() -> list[str] | None:
    """Python's own, or what this machine calls its compiler."""
    for words in (os.environ.get("CC"), sysconfig.get_config_var("CC"), "cc", "gcc", "clang"):
        command = shlex.split(words or "")
        if command and shutil.which(command[0]):
            return command
    return None
