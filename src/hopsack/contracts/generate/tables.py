"""What is generated from the one table of errors: the TypeScript client's copy, and the reference page."""

from __future__ import annotations

import json

from hopsack.errors import ERRORS, ErrorKind, Retry

_RETRY: dict[Retry, str] = {"never": "never", "later": "later", "after_login": "after a login"}


def typescript() -> str:
    """``errors.generated.ts``."""
    rows = "".join(f"  {json.dumps(code)}: {_object(row)},\n" for code, row in ERRORS.items())
    return (
        "// The table of errors. Written by `hopsack generate` from src/hopsack/errors.py: run it again, do not edit.\n"
        "\n"
        "/** One row of the table: what an error is called on the doors of a page, and what a caller should do. */\n"
        "export interface ErrorKind {\n"
        "  /** JSON-RPC 2.0 error number. */\n"
        "  readonly jsonrpc: number;\n"
        "  /** The error URI of the WAMP specification, or null: then the code is the URI. */\n"
        "  readonly wamp: string | null;\n"
        '  readonly retry: "never" | "later" | "after_login";\n'
        "  readonly meaning: string;\n"
        "}\n"
        "\n"
        f"export const ERRORS = {{\n{rows}}} as const satisfies Readonly<Record<string, ErrorKind>>;\n"
        "\n"
        "export type ErrorCode = keyof typeof ERRORS;\n"
    )


def _object(row: ErrorKind) -> str:
    """A row without what a page has no use for: every byte of it is sent to every page."""
    facts = {"jsonrpc": row.jsonrpc, "wamp": row.wamp, "retry": row.retry, "meaning": row.meaning}
    return "{ " + ", ".join(f"{key}: {json.dumps(value)}" for key, value in facts.items()) + " }"


def markdown() -> str:
    """``docs/reference/errors.md``."""
    rows = "".join(
        f"| `{row.code}` | {row.status} | {row.jsonrpc} | {f'`{row.wamp}`' if row.wamp else 'the code'} "
        f"| {_RETRY[row.retry]} | {row.meaning} |\n"
        for row in ERRORS.values()
    )
    return _PAGE.format(rows=rows)


_PAGE = """\
<!-- Written by `hopsack generate` from src/hopsack/errors.py: run it again, do not edit. -->

# Errors

Every error has a code. The code is the same on every door; each door also says it in its own protocol's words:

- WAMP sends an `ERROR` with the URI of the table. The message is the first positional argument, the facts below are
  keyword arguments.
- JSON-RPC sends an error object with the number of the table. The facts below are its `data`.
- HTTP sends an `application/problem+json` document (RFC 9457) with the status of the table.

The facts of an error:

| fact | what it is |
|---|---|
| `code` | the code |
| `message` | what is wrong, for a person |
| `retry` | `never`, `later` or `after_login` |
| `where` | the topic or procedure, if there is one |
| `path` | JSON Pointer (RFC 6901) to the field at fault; empty for the whole payload |
| `advice` | what to do, for a person |
| `data` | further facts, such as `nearest`, `incident` or `retry_after` in seconds |

| code | HTTP | JSON-RPC | WAMP | try again | meaning |
|---|---|---|---|---|---|
{rows}
An error that a contract declares keeps its own code, such as `host.unknown`, and is sent as `hopsack.declared` is.
"""
