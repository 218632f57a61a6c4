"""What the verbs print: tables and colour for a person at a terminal, one JSON value a line for a program.

stdout carries data and nothing else; everything said about it goes to stderr.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import click

# A terminal obeys control characters wherever they come from; JSON escapes those below 0x20, and these are the others.
_CONTROLS = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F))}
_CONTROLS |= {code: f"\\u{code:04x}" for code in range(0x2066, 0x206A)}
_ALL_CONTROLS = _CONTROLS | {code: f"\\x{code:02x}" for code in range(0x20) if code != 0x09}


_GUTTER = 2
_NARROW = 20
"""Characters: no column that wraps gets narrower."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    :ivar key: of the row.
    :ivar title: of the column.
    :ivar wraps: whether a long value may take several lines; the others are never cut.
    """

    key: str
    title: str
    align: Literal["left", "right"] = "left"
    wraps: bool = False


def for_people(as_json: bool) -> bool:
    """Whether stdout is read by a person."""
    return not as_json and sys.stdout.isatty()


def to_json(value: Any) -> str:
    """One line of JSON. Bytes, which JSON does not have, are written as WAMP does: ``\\0`` and base64."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_foreign)


def pretty(value: Any) -> str:
    """JSON for a person's terminal: indented, and harmless whatever is in it."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=_foreign).translate(_CONTROLS)


def plain(text: str) -> str:
    """Text of others, made harmless for a terminal; tabs stay."""
    return text.translate(_ALL_CONTROLS)


def emit(value: Any, as_json: bool) -> None:
    """Print one value."""
    if for_people(as_json):
        click.echo(value if isinstance(value, str) else pretty(value))
    else:
        click.echo(to_json(value))


def emit_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[Column], as_json: bool, empty: str) -> None:
    """Print rows: a table at a terminal, with ``empty`` said if there are none; else NDJSON with every field."""
    if not for_people(as_json):
        for row in rows:
            click.echo(to_json(row))
        return
    rows = list(rows)
    if rows:
        _print_table(rows, columns)
    else:
        say(empty)


def say(text: str) -> None:
    """Talk: to stderr, so that it never mixes with data."""
    click.echo(text, err=True)


def _print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[plain(_cell(row.get(column.key))) for column in columns] for row in rows]
    table = Table(box=None, pad_edge=False, padding=(0, _GUTTER, 0, 0), header_style="bold")
    narrowest = -_GUTTER
    for number, column in enumerate(columns):
        longest = max(cell_len(text) for text in (column.title, *(row[number] for row in cells)))
        width = min(longest, _NARROW) if column.wraps else longest
        narrowest += width + _GUTTER
        table.add_column(column.title, justify=column.align, no_wrap=not column.wraps, overflow="fold", min_width=width)
    for row in cells:
        table.add_row(*map(Text, row))
    console = Console(highlight=False)
    # A terminal that is too narrow breaks the lines itself; a number that is cut would be a wrong one.
    console.width = max(console.width, narrowest)
    console.print(table)


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case str():
            return value
        case list() | tuple():
            return ", ".join(str(item) for item in value) or "-"
        case _:
            return str(value)


def _foreign(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return "\0" + base64.b64encode(value).decode()
    return str(value)
