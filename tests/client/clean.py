"""Virtual environments that hold our wheel and what it asks for, and nothing of a developer's.

pip makes each once, by package names, in pytest's own cache; the wheel in it is new for every run.
"""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
_PYENV = Path.home() / ".pyenv/versions"


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    python: Path

    def run(self, *arguments: str, seconds: float = 120, cwd: Path = REPOSITORY) -> str:
        """What this Python printed; it fails with all of it if the exit code is not 0."""
        # -I: neither the checkout nor a developer's variables are seen.
        command = [str(self.python), "-I", *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds, cwd=cwd)
        assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
        return ended.stdout


def python(version: str) -> Path | None:
    """An interpreter of this version ("3.10") on this machine; "here" is the one that runs the tests."""
    if version in ("here", f"{sys.version_info[0]}.{sys.version_info[1]}"):
        return Path(sys.executable)
    found = shutil.which(f"python{version}")
    # What pyenv offers on PATH works only where that version is chosen.
    if found and "shims" not in Path(found).parts:
        return Path(found)
    return next(iter(sorted(_PYENV.glob(f"{version}.*/bin/python"))), None)


def wheel(folder: Path, source: Path = REPOSITORY) -> Path:
    """The wheel of one of the two distributions."""
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", f"--wheel-dir={folder}", str(source)]
    subprocess.run(command, check=True, timeout=300)
    [built] = folder.glob("*.whl")
    return built


def environment(cache: Path, interpreter: Path, wheel: Path, *requirements: str) -> Environment:
    """One with this wheel, what it asks for, and these requirements beside it."""
    key = hashlib.sha256(repr((str(interpreter), requirements)).encode()).hexdigest()[:12]
    folder = cache / key
    clean = Environment(folder / "bin/python")
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([str(interpreter), "-m", "venv", str(folder)], check=True, timeout=120)
    clean.run(*pip, str(wheel), *requirements, seconds=600)  # quick where all is there
    clean.run(*pip, "--no-deps", "--force-reinstall", str(wheel))
    (folder / "complete").touch()
    return clean
