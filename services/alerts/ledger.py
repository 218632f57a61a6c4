"""What is kept over a restart: the thresholds and the alerts that stand, as the JSON that ``alerts.list`` answers."""

from __future__ import annotations

from pathlib import Path

import msgspec

from hopsack_contracts import AlertList


def load(path: Path) -> AlertList | None:
    """What was saved, or ``None`` if nothing was.

    :raises OSError: it cannot be read.
    :raises ValueError: it is not what :func:`save` writes.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=AlertList)
    except FileNotFoundError:
        return None


def save(path: Path, alerts: AlertList) -> None:
    """Replace the file in one step, so that a crash leaves the old one or the new one.

    :raises OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    draft.write_bytes(msgspec.json.encode(alerts))
    draft.replace(path)
