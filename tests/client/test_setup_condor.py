"""NCSA's command, as their environments call it."""

import subprocess
import sys
from pathlib import Path

import pytest

from htcdaskgateway import setup_condor


@pytest.mark.parametrize("arguments", [[], ["--username", "ada"]])
def test_setup_condor_touches_nothing_and_says_what_replaces_it(tmp_path: Path, arguments: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "htcdaskgateway.setup_condor", *arguments],
        env={"HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout == ""
    assert ended.stderr == f"{setup_condor.REPLACED}\n"
    assert "cluster.explain()" in ended.stderr
    assert not (tmp_path / ".condor").exists()
