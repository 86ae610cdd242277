"""Whose `htcdaskgateway` this Python has: ours alone, or also that of an older client or fork.

They install into the same folder. Whichever comes last has its files there, and whichever is removed takes
files of the other one with it; pip says nothing to either.
"""

import base64
import csv
import hashlib
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Final

from htcdaskgateway._doctor.case import Case, Fault

OURS: Final = "htcdask"
PACKAGE: Final = "htcdaskgateway"
_SHA256: Final = "sha256="


async def installation(case: Case) -> str:
    """No other distribution has files in our package, and all of ours are as they were installed."""
    return look(list(metadata.distributions()))


def look(distributions: list[metadata.Distribution]) -> str:
    """The sentence for what is installed; a Fault names what does not belong there."""
    names = {dist: dist.metadata["Name"] or "a distribution without a name" for dist in distributions}
    others = sorted(
        {f"{name} {dist.version}" for dist, name in names.items() if name != OURS and _owns_package(dist)}
    )
    ours = [dist for dist, name in names.items() if name == OURS]
    damaged = sorted({file for dist in ours for file in _damaged(dist)})
    again = f"pip install --force-reinstall --no-deps {OURS}"
    if others:
        remove = " ".join(other.partition(" ")[0] for other in others)
        state = f", and {_few(damaged)} of {OURS} is not as it was installed" if damaged else ""
        raise Fault(
            f"{', '.join(others)} installs into the same package {PACKAGE!r} as {OURS}{state}",
            f"pip uninstall -y {remove} && {again} (in this order: uninstalling deletes files of {OURS} too)",
        )
    if not ours:
        raise Fault(f"{PACKAGE!r} is here, and no distribution {OURS} is installed", f"pip install {OURS}")
    if damaged:
        raise Fault(f"{_few(damaged)} of {OURS} is gone or not as it was installed", again)
    return f"{OURS} {ours[0].version} is the only owner of the package {PACKAGE!r}"


def _owns_package(dist: metadata.Distribution) -> bool:
    return any(file.parts[:1] == (PACKAGE,) for file in dist.files or ())


def _damaged(dist: metadata.Distribution) -> list[str]:
    """Its files of our package that are gone or other ones; of an editable install none is listed."""
    found = []
    # Not `dist.files`, in which newer Pythons leave out what is gone.
    for row in csv.reader((dist.read_text("RECORD") or "").splitlines()):
        name, digest, *_ = [*row, "", ""]
        if PurePosixPath(name).parts[:1] != (PACKAGE,) or not digest.startswith(_SHA256):
            continue
        if _sha256(Path(str(dist.locate_file(name)))) != digest.removeprefix(_SHA256):
            found.append(name)
    return found


def _sha256(file: Path) -> str | None:
    """As RECORD has it; None where there is no such file."""
    try:
        digest = hashlib.sha256(file.read_bytes()).digest()
    except OSError:
        return None
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _few(files: list[str]) -> str:
    return files[0] if len(files) == 1 else f"{files[0]} (and {len(files) - 1} more)"
