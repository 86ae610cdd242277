"""The Go that builds the playground's programs. Only programs.py calls it.

Any Go of 1.21 or later fetches the newer toolchain that a go.mod asks for by itself, as a Go module. Older
ones (Debian 12 has 1.19) cannot; for them that same module is downloaded here.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from playground.build.errors import PlaygroundError
from playground.build.packages import need
from playground.build.progress import step

# What an old Go downloads; at least what the newest go.mod under build/go asks for.
_TOOLCHAIN = "go1.26.0"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Go:
    """A go command and the environment to run it with."""

    program: Path
    environment: dict[str, str]

    def run(self, *arguments: str, cwd: Path) -> str:
        """Run go; on failure the end of what it said is part of the error."""
        outcome = subprocess.run(
            [str(self.program), *arguments], cwd=cwd, env=self.environment, capture_output=True, text=True
        )
        if outcome.returncode != 0:
            raise PlaygroundError(
                f"`go {' '.join(arguments)}` failed in {cwd}:\n{outcome.stderr.strip()[-3000:]}"
            )
        return outcome.stdout.strip()


def architecture() -> str:
    """Go's name for this machine's processor."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise PlaygroundError(
            f"the playground runs on {', '.join(_ARCHITECTURES)}; this machine is {machine}"
        )
    return _ARCHITECTURES[machine]


@functools.cache
def go() -> Go:
    """A Go that can build every module here."""
    # Static binaries: they also run in images that hold nothing else.
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto", "GOWORK": "off"}
    program = Path(need("go")[0])
    found = Go(program, environment)
    version = re.search(r"go1\.(\d+)", found.run("version", cwd=Path("/")))
    if version and int(version[1]) >= 21:
        return found
    return Go(_download(found), {**environment, "GOTOOLCHAIN": "local"})


def _download(old: Go) -> Path:
    module = f"golang.org/toolchain@v0.0.1-{_TOOLCHAIN}.linux-{architecture()}"
    with step(f"downloading {_TOOLCHAIN}"):
        folder = Path(json.loads(old.run("mod", "download", "-json", module, cwd=Path("/")))["Dir"])
    # Module archives carry no permissions.
    for pattern in ("bin/*", "pkg/tool/*/*"):
        for tool in folder.glob(pattern):
            tool.chmod(0o755)
    return folder / "bin" / "go"
