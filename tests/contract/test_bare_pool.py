"""The bare HTCondor keeps its queue over a restart, and takes everything with it when it ends."""

from __future__ import annotations

import subprocess
from pathlib import Path

from playground.condor.bare import BarePool

DESCRIPTION = """
executable = /bin/sleep
transfer_executable = false
arguments = 1000
queue
"""


def test_keeps_its_queue_and_leaves_nothing(tmp_path: Path) -> None:
    with BarePool(tmp_path / "pool") as pool:
        job = pool.run("condor_submit", "-terse", "-", user="alice", input=DESCRIPTION).split()[0]
        pool.stop()
        assert processes() == []
        pool.start()
        assert pool.run("condor_q", "-allusers", job, "-af", "Owner").strip() == "alice"
        assert processes() != []
    assert processes() == []
    assert list((tmp_path / "pool").iterdir()) == []
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def processes() -> list[str]:
    """HTCondor's daemons on this machine that belong to nobody else's mount namespace."""
    listing = subprocess.run(["pgrep", "-x", "condor_master"], capture_output=True, text=True, check=False)
    return [pid for pid in listing.stdout.split() if _pool(pid)]


def _pool(pid: str) -> bool:
    try:
        return "test_keeps_its_queue" in Path(f"/proc/{pid}/mountinfo").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
