"""Write one token per service, signed with the node's key, into a folder that the services read.

    python mint.py FOLDER NAME...

Run once before the node starts (the step ``tokens`` of docker-compose.yml), so that no service ever holds the key that
signs. In development the key is made here, at first use, in the volume that the node reads it from.
"""

import os
import sys
from pathlib import Path

from hopsack import tokens
from hopsack.settings import ConfigError, Settings


def write_tokens(folder: Path, names: list[str], secret: str) -> None:
    for name in names:
        draft = folder / f".{name}"
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(tokens.mint(secret, sub=name, role="service") + "\n", encoding="ascii")
        draft.replace(folder / name)  # at once: a service that starts meanwhile reads the old token or the new one


if __name__ == "__main__":
    try:
        write_tokens(Path(sys.argv[1]), sys.argv[2:], Settings.from_environ(os.environ).secret())
    except ConfigError as error:
        print(f"mint.py: {error}", file=sys.stderr)
        sys.exit(3)
