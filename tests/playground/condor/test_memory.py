"""A worker that eats memory ends with a reason before the machine suffers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from playground.condor.bare import BarePool

REQUEST = 128  # MiB
PATIENCE = 120.0
# In Perl, which every Debian has: so many pieces of so many MiB, that long after each other.
EATER = (
    "my @held; for my $i (1 .. $ARGV[0]) { push @held, 'x' x (($ARGV[1] << 20) + $i); sleep 1 if $ARGV[2] }"
)
JOB = """
executable = /usr/bin/perl
transfer_executable = false
should_transfer_files = yes
transfer_input_files = eater.pl
arguments = eater.pl {arguments}
error = error
request_memory = {request}
leave_in_queue = true
queue
"""


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BarePool]:
    with BarePool(tmp_path_factory.mktemp("condor") / "pool") as made:
        yield made


def end_of(pool: BarePool, arguments: str) -> dict[str, Any]:
    """Run the eater as a job; returns the job as it was when it ran no more."""
    home = pool.path("/home/alice")
    (home / "eater.pl").write_text(EATER)
    (home / "job").write_text(JOB.format(arguments=arguments, request=REQUEST))
    said = pool.run("sh", "-c", "cd && condor_submit -terse job", user="alice")
    job = said.split(".")[0]
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        [found] = json.loads(pool.run("condor_q", job, "-json"))
        if found["JobStatus"] in (4, 5):
            return dict(found)
        time.sleep(0.5)
    raise AssertionError(f"still in state {found['JobStatus']}: {found.get('ResidentSetSize')} KiB")


def test_a_job_that_grows_beyond_its_request_is_held_and_told_why(pool: BarePool) -> None:
    job = end_of(pool, "40 100 1")
    assert (job["JobStatus"], job["HoldReasonCode"], job["HoldReasonSubCode"]) == (5, 21, 102)
    assert "memory usage exceeded request_memory by more than 1 GiB" in job["HoldReason"]
    assert job["ResidentSetSize"] < 3 << 20  # KiB: far from the 4 GiB that it was about to take


def test_a_job_that_grows_faster_than_anybody_looks_ends_at_its_limit(pool: BarePool, tmp_path: Path) -> None:
    job = end_of(pool, "100 500 0")  # 50 GB
    assert job["JobStatus"] == 5 or job["ExitCode"] != 0
    assert job["ResidentSetSize"] < (REQUEST + 5120) << 10
