"""Partial folders: hidden siblings of the final place, locked while their process lives."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

PREFIX = ".meshsim-partial-"
"""How the name of every folder begins that is not a complete run."""

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


class PartialFolder:
    """A folder that is being written. The lock on it dies with the process, and tells the living from the dead."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def create(cls, parent: Path) -> PartialFolder:
        """Make one in ``parent``, after sweeping the remains of dead processes from there. Raises OSError."""
        sweep(parent)
        while True:
            path = parent / f"{PREFIX}{secrets.token_hex(6)}"
            path.mkdir()
            descriptor = _lock(path)
            if descriptor is not None:
                return cls(path, descriptor)
            # Another process swept it between the two calls above: try again under another name.

    def publish_new(self, place: Path) -> Path:
        """Rename to ``place``; FileExistsError if something stands there."""
        if place.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))
        try:
            os.rename(self.path, place)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place)) from error
            raise
        self._release()
        return place

    def publish(self, place: Path) -> Path:
        """Rename to ``place``, in exchange for what stands there, which is removed."""
        if not place.exists() or not os.listdir(place):
            os.rename(self.path, place)
            self._release()
            return place
        if not _exchange(self.path, place):
            # No exchange on this system: for an instant neither run stands there, but never half of one.
            aside = place.parent / f"{PREFIX}{secrets.token_hex(6)}"
            os.rename(place, aside)
            os.rename(self.path, place)
            self.path = aside
        self.remove()
        return place

    def remove(self) -> None:
        """Remove what stands under the hidden name, if anything; further calls do nothing."""
        if self._descriptor is not None:
            _remove_tree(self.path)
            self._release()

    def _release(self) -> None:
        assert self._descriptor is not None
        os.close(self._descriptor)
        self._descriptor = None


def sweep(parent: Path) -> None:
    """Remove partial folders in ``parent`` whose process is gone; those of the living are left alone."""
    with suppress(OSError):
        for path in sorted(parent.glob(f"{PREFIX}*")):
            descriptor = _lock(path, wait=False)
            if descriptor is not None:
                _remove_tree(path)
                os.close(descriptor)


def _lock(path: Path, *, wait: bool = True) -> int | None:
    """Lock the folder itself; None if it is locked by another (without ``wait``), gone, or not ours to open."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except OSError:
        pass  # locked or gone: told by the None below
    os.close(descriptor)
    return None


def _exchange(first: Path, second: Path) -> bool:
    """Swap two folders in one step (Linux, renameat2); False if the system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    swapped: int = rename(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE)
    return swapped == 0


def _remove_tree(path: Path) -> None:
    # Errors are of no use here: another process may be sweeping the same folder, or the disk may have gone.
    shutil.rmtree(path, ignore_errors=True)
