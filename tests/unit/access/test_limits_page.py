"""``docs/reference/limits.md`` says what the code does."""

from __future__ import annotations

from pathlib import Path

from hopsack_router.access.limits import KINDS, LEVELS, Rules, written

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "limits.md"

OF = {"connection": "one connection", "subject": "all sessions of a subject", "address": "an address"}


def table() -> list[str]:
    lines = ["| limit | of what | guests, users | services, operators |", "|---|---|---|---|"]
    rules = Rules()
    for name in dict.fromkeys(row.name for row in rules.rows()):
        kind, _, scope = name.partition(".")
        usual, house = rules.of(name, "user"), rules.of(name, "service")
        if kind in ("connects", "auth_failures") or name == "connections.address":
            house = usual  # nobody has a role yet
        what = f"{KINDS[kind]} of {OF[scope]}"
        lines.append(f"| `{name}` | {what} | {written(usual)} | {written(house)} |")
    return lines


def test_the_table_is_that_of_the_code() -> None:
    text = PAGE.read_text()

    assert "\n".join(table()) in text, "it should be:\n" + "\n".join(table())
    assert all(f"`{kind}" in text for kind in LEVELS)
