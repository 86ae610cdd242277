"""The agent's folder goes with its operator, or with the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from htcdask_operator.condor.private_folder import PrivateFolder

HOLDER = """
import sys, pathlib
from htcdask_operator.condor.private_folder import PrivateFolder
made = PrivateFolder(pathlib.Path(sys.argv[1]))
(made.path / "token").write_text("a token")
print(made.path, flush=True)
sys.stdin.read()
"""


def test_it_is_private_and_leaves_nothing(tmp_path: Path) -> None:
    made = PrivateFolder(tmp_path)
    assert made.path.stat().st_mode & 0o777 == 0o700
    (made.path / "token").write_text("a token")
    made.close()
    made.close()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_an_operator_that_was_killed_is_wiped_by_the_next(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        first = PrivateFolder(tmp_path)
        assert (theirs / "token").exists() and first.path.exists()
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    second = PrivateFolder(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([first.path, second.path])


def test_what_is_none_of_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "htcdask-other").mkdir()
    (tmp_path / "htcdask-condor-file").write_text("a file")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "htcdask-condor-link").symlink_to(tmp_path / "elsewhere")
    PrivateFolder(tmp_path).close()
    assert len(list(tmp_path.iterdir())) == 4
