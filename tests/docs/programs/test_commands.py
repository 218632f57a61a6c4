"""Every command that a document shows is typed, and prints what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.markdown import ROOT
from tests.docs.reader import lacking, reading

DOCUMENTS = (
    "README.md",
    "docs/tutorial.md",
    "docs/how-to/adopt-contracts.md",
    "docs/how-to/page-without-a-build.md",
    "docs/how-to/plain-clients.md",
    "docs/how-to/write-a-service.md",
)


@pytest.mark.node
@pytest.mark.timeout(300)
@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_commands_print_what_is_shown(document: str, tmp_path: Path) -> None:
    if why := lacking("curl"):
        pytest.skip(why)
    with reading(tmp_path) as reader:
        reader.follow(ROOT / document)
