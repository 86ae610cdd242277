"""Things of the cache, each made once, by whoever needs it first: over all threads and all processes.

`once` is the only way in. It notes when a thing was used last, as the time of its file or folder; by that and
by more pruning.py decides what may go.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from playground.build import paths
from playground.build.progress import step

_making: set[Path] = set()
_guard = threading.Lock()


def once(
    target: Path,
    what: str,
    make: Callable[[Path], None],
    turn: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Path:
    """`target`, a file or folder of the cache. If it is not there, `make` is given the place for a draft.

    `what` is shown while it is made. `turn` is entered first: some makers can do one thing at a time.
    """
    if _used(target):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target, what):
        if not _used(target):
            with turn(), step(what):
                _make(target, make)
    return target


def entry(path: Path) -> Path:
    """The file or folder of the cache, directly below its kind, that `path` belongs to."""
    kind, name = path.relative_to(paths.cache()).parts[:2]
    return paths.cache() / kind / name


def remove(path: Path) -> None:
    """Take away a file or a folder, or nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _make(target: Path, make: Callable[[Path], None]) -> None:
    draft = target.with_name(f".{target.name}.new")
    remove(draft)  # what an interrupted one left
    target.parent.mkdir(parents=True, exist_ok=True)
    make(draft)
    draft.replace(target)
    _used(target)


def _used(target: Path) -> bool:
    """Note that it is used now; False if it is not there."""
    try:
        os.utime(target)
    except FileNotFoundError:
        return False
    os.utime(entry(target))
    return True


@contextmanager
def _locked(target: Path, what: str) -> Iterator[None]:
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Another thread shows its own line already; another process shows its line elsewhere.
            with _guard:
                ours = target in _making
            with nullcontext() if ours else step(f"waiting for another process: {what}"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        with _guard:
            _making.add(target)
        try:
            yield
        finally:
            with _guard:
                _making.discard(target)
