"""Each verdict on the slots, in the words that people read: cause and remedy, and what nobody can know."""

from __future__ import annotations

import pytest

from htcdask_operator.core.model import Analysis, Clause
from htcdask_operator.core.status import slots
from tests.builders import make_job

MEMORY = Clause("TARGET.Memory >= RequestMemory", met=0, asked=4096000, nearest=(524288,))
GPUS = Clause("TARGET.GPUs >= RequestGPUs", met=0, undefined=40)
WISH = Clause('TARGET.Arch == "PPC64"', met=0, asked="PPC64", nearest=("X86_64", "AARCH64"))
CONTAINERS = Clause("TARGET.HasContainer", met=0, undefined=40)
FOLDERS = Clause("TARGET.HasSandboxImage", met=0, undefined=40)
FINE = Clause("TARGET.Cpus >= RequestCpus", met=40, without=0)
RARE = Clause("TARGET.Disk >= RequestDisk", met=3, without=7, asked=2**21, nearest=(2**20,))
CASES: dict[str, tuple[Analysis, str, str]] = {
    "no slot": (Analysis(0), "NoMatchingSlots", "has no slot at all now"),
    "too much memory": (
        Analysis(40, (FINE, MEMORY)),
        "NoMatchingSlots",
        "No slot of 40 meets `TARGET.Memory >= RequestMemory`: 3.906 TiB of memory are asked for, and the "
        "largest has 512 GiB; ask for less.",
    ),
    "no GPU": (
        Analysis(40, (FINE, GPUS)),
        "NoMatchingSlots",
        "No slot of 40 defines what `TARGET.GPUs >= RequestGPUs` asks for.",
    ),
    "a wish": (
        Analysis(40, (FINE, WISH)),
        "NoMatchingSlots",
        'No slot of 40 meets `TARGET.Arch == "PPC64"`: they offer "X86_64", "AARCH64".',
    ),
    "no Apptainer": (
        Analysis(40, (CONTAINERS, FINE)),
        "NoMatchingSlots",
        "No slot of 40 runs containers: no execute node has Apptainer, or HTCondor does not find it "
        "(SINGULARITY in its configuration). Ask the site.",
    ),
    "no Apptainer, and then another cause": (
        Analysis(40, (CONTAINERS, FOLDERS, GPUS)),
        "NoMatchingSlots",
        "Ask the site. No slot of 40 defines what `TARGET.GPUs >= RequestGPUs` asks for.",
    ),
    "Apptainer without folders": (
        Analysis(40, (FOLDERS, FINE)),
        "NoMatchingSlots",
        "No slot of 40 runs images that are unpacked folders.",
    ),
    "two that are missing": (
        Analysis(40, (MEMORY, WISH, GPUS)),
        "NoMatchingSlots",
        "512 GiB; ask for less. No slot of 40 meets `TARGET.Arch",
    ),
    "one beside the others": (
        Analysis(40, (FINE, RARE)),
        "NoMatchingSlots",
        "of the 7 that meet the rest, none meets `TARGET.Disk >= RequestDisk`: 2 GiB of disk are asked for, "
        "and the largest has 1 GiB; ask for less.",
    ),
    "nothing stands out": (
        Analysis(40, (Clause("a", 2), Clause("b", 1), Clause("c", 39))),
        "NoMatchingSlots",
        "No slot of 40 meets all that the job requires. The fewest meet `b` (1) and `a` (2).",
    ),
    "a rule": (
        Analysis(40, fit=12, looked_at=12, refuse=12, start='TARGET.Department is "physics"'),
        "SlotsRefuse",
        "12 of 40 slots fit the job when they are empty, and their own rules refuse it: START is "
        'TARGET.Department is "physics". Ask the site which jobs may run there.',
    ),
    "a rule of some": (
        Analysis(400, fit=100, looked_at=40, refuse=39, unknown=1),
        "SlotsRefuse",
        "(at least 39 of them)",
    ),
    "nobody knows": (
        Analysis(40, fit=12, looked_at=12, unknown=12),
        "WaitingForMatch",
        "whether they take it depends on what the collector does not show. It says: no match found.",
    ),
    "full": (
        Analysis(40, fit=12, looked_at=12, take=12, ahead=0),
        "PoolFull",
        "and none has room now: the job starts when others end. Smaller ones find room sooner.",
    ),
    "full, and others come first": (
        Analysis(40, fit=12, looked_at=12, take=12, ahead=2),
        "PoolFull",
        "sooner. 2 other users with idle jobs and a better priority (condor_userprio) come first.",
    ),
    "its turn": (
        Analysis(40, fit=12, looked_at=12, take=12, room=3),
        "WaitingForMatch",
        "and some have room now: the job waits for its turn. Who comes first is the negotiator's to say "
        "(condor_userprio). A limit of the site may hold it, too. It says: no match found.",
    ),
    "its turn, and another comes first": (
        Analysis(40, fit=12, looked_at=12, take=12, room=3, ahead=1),
        "WaitingForMatch",
        "Another user with idle jobs and a better priority (condor_userprio) comes first.",
    ),
    "a quota": (
        Analysis(40, fit=12, looked_at=12, take=12, room=3, group="group_dask", quota=8.0, used=8.0),
        "QuotaReached",
        "and the accounting group group_dask has 8 of its quota of 8: the job starts when others of",
    ),
    "a limit": (
        Analysis(40, fit=12, looked_at=12, take=12, room=3, limit="license", limit_used=2.0),
        "LimitReached",
        "12 of 40 slots fit the job when they are empty, and HTCondor's negotiator says that the concurrency "
        "limit license is reached, of which running jobs use 2. The job starts when others that use it end. "
        "How high the limit is, is the negotiator's configuration and not known here: ask the site.",
    ),
    "a limit, and a clause that none meets": (
        Analysis(40, (FINE, GPUS), limit="license"),
        "NoMatchingSlots",
        "No slot of 40 defines",
    ),
    "full, and one of the same user comes first": (
        Analysis(40, fit=12, looked_at=12, take=12, ahead=0, earlier=1),
        "PoolFull",
        "sooner. 1 idle job of the same user, older or of a higher priority, is offered before it.",
    ),
    "its turn, and many come first": (
        Analysis(40, fit=12, looked_at=12, take=12, room=3, ahead=2, earlier=7),
        "WaitingForMatch",
        "7 idle jobs of the same user, older or of a higher priority, are offered before it. 2 other users",
    ),
    "a quota with room": (
        Analysis(40, fit=12, looked_at=12, take=12, ahead=0, group="group_dask", quota=8.0, used=7.0),
        "PoolFull",
        "and none has room now",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_verdict(case: str) -> None:
    analysis, reason, sentence = CASES[case]
    told = slots.told(analysis, make_job(reject_reason="no match found"))
    assert told[0] == reason
    assert sentence in told[1]


@pytest.mark.parametrize("case", CASES)
def test_no_verdict_is_all_that_htcondor_says(case: str) -> None:
    assert slots.told(CASES[case][0], make_job())[1] not in ("", "no match found")
