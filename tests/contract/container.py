"""A container image of five megabytes for jobs that only need bash: programs of the condor root file system.

It is laid out as Apptainer's sandbox images are, which is what unpacked images on CVMFS look like.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PROGRAMS = ("bash", "cat", "env", "head", "id", "ln", "ls", "mkdir", "mktemp", "rm", "sleep", "stat", "tail")
_FOLDERS = ("tmp", "var/tmp", "proc", "dev", "sys", "etc", "root", "home", ".singularity.d/actions")


def make_image(rootfs: Path, target: Path) -> None:
    """Make the image in the new folder `target`."""
    for folder in ("bin", *_FOLDERS):
        (target / folder).mkdir(parents=True)
    for program in PROGRAMS:
        shutil.copy2(rootfs / "usr/bin" / program, target / "bin" / program)
        for library in _libraries(rootfs, f"/usr/bin/{program}"):
            copy = target / library.lstrip("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(rootfs / library.lstrip("/"), copy)
    (target / "bin/sh").symlink_to("bash")
    (target / "etc/passwd").write_text("root:x:0:0::/root:/bin/bash\n")
    (target / "etc/group").write_text("root:x:0:\n")
    for action, line in {"exec": 'exec "$@"', "run": 'exec "$@"', "test": "exit 0"}.items():
        script = target / ".singularity.d/actions" / action
        script.write_text(f"#!/bin/sh\n{line}\n")
        script.chmod(0o755)


def _libraries(rootfs: Path, program: str) -> list[str]:
    command = ["chroot", str(rootfs), "ldd", program]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [word for word in listing.split() if word.startswith("/")]
