"""The folder with the operator's token and the agents' files: private, and gone with the operator.

A folder whose operator was killed is wiped by the next one. Each holds a lock on its own folder, which the
kernel lets go of when the process ends. Used by `client`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

_PREFIX: Final = "htcdask-condor-"


class PrivateFolder:
    """A new folder at `path`."""

    def __init__(self, parent: Path | None = None) -> None:
        parent = parent or Path(tempfile.gettempdir())
        _wipe_abandoned(parent)
        # It gets its name once it is locked, so that nobody takes it for an abandoned one.
        draft = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=parent))
        self._lock = _locked(draft)
        self.path = draft.rename(parent / draft.name.removeprefix("."))

    def close(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _wipe_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        lock = _locked(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _locked(folder: Path) -> int | None:
    """A lock on this folder; None if it is somebody else's, or in use."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if os.fstat(lock).st_uid == os.geteuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
    except OSError:
        pass
    os.close(lock)
    return None
