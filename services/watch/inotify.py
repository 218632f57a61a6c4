"""The kernel's inotify (inotify(7)), as thin as it can be: four calls and a parser.

Twisted's own wrapper was read and not taken: it drops ``IN_Q_OVERFLOW`` (its watch is -1, which is no key of its table)
and the cookies that pair the two ends of a move, so that nothing built on it can tell when it has missed something.

    Inotify().add(descriptor) -> watch          Inotify().read() -> the records so far, never blocking
    parse(bytes) -> tuple[Record, ...]          pure
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from dataclasses import dataclass
from typing import Final

IN_MODIFY: Final = 0x00000002
IN_ATTRIB: Final = 0x00000004
IN_CLOSE_WRITE: Final = 0x00000008
IN_MOVED_FROM: Final = 0x00000040
IN_MOVED_TO: Final = 0x00000080
IN_CREATE: Final = 0x00000100
IN_DELETE: Final = 0x00000200
IN_DELETE_SELF: Final = 0x00000400
IN_MOVE_SELF: Final = 0x00000800
IN_UNMOUNT: Final = 0x00002000
IN_Q_OVERFLOW: Final = 0x00004000
IN_IGNORED: Final = 0x00008000
IN_ONLYDIR: Final = 0x01000000
IN_EXCL_UNLINK: Final = 0x04000000

CONTENTS: Final = (
    IN_MODIFY
    | IN_ATTRIB
    | IN_CLOSE_WRITE
    | IN_MOVED_FROM
    | IN_MOVED_TO
    | IN_CREATE
    | IN_DELETE
    | IN_DELETE_SELF
    | IN_MOVE_SELF
    | IN_ONLYDIR
    | IN_EXCL_UNLINK
)
"""What is asked of every folder below a root: anything that changes what a listing of it says."""

_HEADER = struct.Struct("=iIII")  # struct inotify_event: wd, mask, cookie, len; then len bytes of name, padded with NUL
_BUFFER = 65536
_NO_INSTANCE = (
    "this user has no inotify instance (or this process no file descriptor) left. "
    "Allow more with: sysctl fs.inotify.max_user_instances=1024"
)


@dataclass(frozen=True, slots=True)
class Record:
    """One event as the kernel tells it.

    :ivar watch: the watch descriptor; -1 for ``IN_Q_OVERFLOW``.
    :ivar mask: ``IN_*`` bits.
    :ivar cookie: the same non-zero number on both ends of one rename, else 0.
    :ivar name: the name within the watched folder, undecodable bytes as surrogates (PEP 383); empty for the folder
        itself.
    """

    watch: int
    mask: int
    cookie: int
    name: str


def parse(buffer: bytes) -> tuple[Record, ...]:
    """The records in what one ``read`` returned. The kernel never splits a record."""
    records = []
    at = 0
    while at < len(buffer):
        watch, mask, cookie, length = _HEADER.unpack_from(buffer, at)
        start = at + _HEADER.size
        name = buffer[start : start + length].rstrip(b"\0")
        records.append(Record(watch, mask, cookie, os.fsdecode(name)))
        at = start + length
    return tuple(records)


class Inotify:
    """One inotify instance. Its queue is the kernel's: bounded by ``fs.inotify.max_queued_events``, and the kernel says
    ``IN_Q_OVERFLOW`` when it dropped something.

    :raises OSError: ``EMFILE`` where the user has ``fs.inotify.max_user_instances`` of them already.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        try:
            self.descriptor = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            if error.errno == errno.EMFILE:
                raise OSError(error.errno, _NO_INSTANCE) from None
            raise

    def add(self, folder: int, mask: int = CONTENTS) -> int:
        """Watch an open folder. By descriptor, so that no rename can put another folder in its place meanwhile.

        :param folder: file descriptor of the folder.
        :returns: the watch; of a folder that is watched already, the same one.
        :raises OSError: ``ENOSPC`` where ``fs.inotify.max_user_watches`` are in use.
        """
        path = b"/proc/self/fd/%d" % folder
        return self._checked(self._libc.inotify_add_watch(self.descriptor, path, ctypes.c_uint32(mask)))

    def remove(self, watch: int) -> None:
        """Stop a watch. One that the kernel ended itself is no error: its last record may still be on the way."""
        self._libc.inotify_rm_watch(self.descriptor, watch)

    def read(self) -> tuple[Record, ...]:
        """Up to 64 KiB of records; none if there are none now."""
        try:
            return parse(os.read(self.descriptor, _BUFFER))
        except BlockingIOError:
            return ()

    def close(self) -> None:
        os.close(self.descriptor)

    @staticmethod
    def _checked(result: int) -> int:
        if result == -1:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
