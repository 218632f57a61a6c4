"""Fuzz one target with atheris, for so many seconds: ``python tests/fuzz/run.py TARGET SECONDS [FOLDER]``.

Needs atheris (see README.md), which nothing else here does. ``FOLDER/TARGET.json`` has the executions, the slowest
input and what was found; an input that raises is written to ``FOLDER/TARGET.crash-N``, and fuzzing goes on.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src"), str(ROOT / "router")]

import atheris  # type: ignore[import-untyped]  # noqa: E402

INSTRUMENTED = ["hopsack", "hopsack_router", "autobahn.wamp.message", "cbor2", "twisted.web.http"]
with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
    from tests.fuzz.targets import TARGETS

MOST = 20
"""Findings that are written down."""

REPORTED = 5.0
"""Seconds between two reports: libFuzzer ends the process without a word to Python."""


class Hunt:
    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder, self.target = name, folder, TARGETS[name]
        self.runs = self.slowest = 0.0
        self.found: dict[str, str] = {}
        self.begun = self.reported = time.monotonic()

    def one(self, data: bytes) -> None:
        began = time.process_time()
        try:
            self.target.run(data)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            key = f"{type(error).__name__} {Path(place.filename).name}:{place.lineno} {str(error)[-200:]}"
            if key not in self.found and len(self.found) < MOST:
                self._keep(f"{self.name}.crash-{len(self.found)}", data)
                self.found[key] = str(error)[-1500:]
        took = time.process_time() - began
        self.runs += 1
        if took > self.slowest and self.runs > 20:
            self.slowest = took
            self._keep(f"{self.name}.slowest", data)
        if time.monotonic() - self.reported > REPORTED:
            self.report()

    def _keep(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)

    def report(self) -> None:
        self.reported = time.monotonic()
        lasted = round(self.reported - self.begun)
        facts = {"target": self.name, "runs": int(self.runs), "seconds": lasted, "slowest_ms": self.slowest * 1000}
        self._keep(f"{self.name}.json", json.dumps(facts | {"found": self.found}).encode())


def main() -> None:
    name, seconds, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3] if len(sys.argv) > 3 else "fuzzed")
    corpus = folder / name
    corpus.mkdir(parents=True, exist_ok=True)
    hunt = Hunt(name, folder)
    for number, seed in enumerate(hunt.target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = folder / f"{name}.dict"
    quoted = ["".join(f"\\x{byte:02x}" for byte in word) for word in hunt.target.words]
    words.write_text("".join(f'"{one}"\n' for one in quoted))
    options = [
        f"-max_total_time={seconds}",
        "-timeout=10",
        "-rss_limit_mb=1500",
        "-max_len=8192",
        "-print_final_stats=0",
    ]
    if quoted:  # libFuzzer takes no empty one
        options.append(f"-dict={words}")
    atheris.Setup([sys.argv[0], *options, str(corpus)], hunt.one)
    atheris.Fuzz()


main()
