"""Files that HTCondor's library insists on, for as long as a call takes. Used by `schedd`, in the child.

What goes out is never a file but memory with a name, so that nothing is left if this process dies; what comes
in is bounded, and read as what it should be: the end of a text.
"""

from __future__ import annotations

import os
import resource
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LARGEST_OUTPUT: Final = 2**20
"""Bytes of one worker's output; HTCondor holds a job that has more (`max_transfer_output_mb`)."""
_TAIL: Final = 64 * 1024


@contextmanager
def folder(scratch: Path) -> Iterator[Path]:
    """A new folder, gone afterwards with all that is in it."""
    made = Path(tempfile.mkdtemp(dir=scratch))
    try:
        yield made
    finally:
        shutil.rmtree(made)


@contextmanager
def outgoing(scratch: Path, name: str, content: str) -> Iterator[Path]:
    """A path with this name, of a file with this content and mode 0600."""
    with folder(scratch) as made, os.fdopen(os.memfd_create(name), "w") as memory:
        os.fchmod(memory.fileno(), 0o600)
        memory.write(content)
        memory.flush()
        (made / name).symlink_to(f"/proc/self/fd/{memory.fileno()}")
        yield made / name


@contextmanager
def incoming(scratch: Path) -> Iterator[Path]:
    """A folder to receive files in, of which none may be larger than a worker's output."""
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with folder(scratch) as made:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_OUTPUT, hard))
        try:
            yield made
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))


def tail(file: Path) -> str:
    """The end of the text in `file`; nothing if that is no file."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # a worker may have sent a folder
        os.close(descriptor)
        return ""
    with os.fdopen(descriptor, "rb") as content:
        content.seek(-min(_TAIL, os.fstat(descriptor).st_size), os.SEEK_END)
        return content.read(_TAIL).decode("utf-8", "replace")
