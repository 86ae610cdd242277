"""What it costs to say why a job waits: an analysis of 3,000 slots, as the agent makes it, without a site.

Beside a floor in the same run: each slot asked once whether it meets all of the job's Requirements.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import classad2

from htcdask_operator.condor.agent import analysis

_REPEATS = 5
_SLOTS = 3000
_JOB = """
RequestCpus = 2
RequestMemory = 4096
RequestDisk = 1000
HTCDaskUserRequirements = TARGET.Arch == "X86_64" && regexp("^node", TARGET.Machine)
Requirements = TARGET.HasContainer && TARGET.HasSIF && TARGET.Cpus >= RequestCpus \
 && TARGET.Memory >= RequestMemory && TARGET.Disk >= RequestDisk \
 && (NumShadowStarts =?= undefined || NumShadowStarts < 1) && (MY.HTCDaskUserRequirements)
"""
_SLOT = """
Name = "slot1@node{number}"
Machine = "node{number}"
Arch = "X86_64"
HasContainer = true
HasSIF = true
PartitionableSlot = true
State = "Unclaimed"
Cpus = 0
Memory = 0
Disk = 0
TotalSlotCpus = 64
TotalSlotMemory = {memory}
TotalSlotDisk = 1000000
"""


def three_thousand() -> dict[str, float]:
    """Milliseconds of a template that no slot meets, and how many floors that is."""
    job = _ad(_JOB)
    slots = [_ad(_SLOT.format(number=number, memory=1000 + number)) for number in range(_SLOTS)]
    ours = _fastest(lambda: analysis.analyze(job, slots))
    floor = _fastest(lambda: [job.lookup("Requirements").eval(scope=job, target=slot) for slot in slots])
    return {
        f"analysis of {_SLOTS} slots, ms": 1000 * ours,
        f"analysis of {_SLOTS} slots, in evaluations of all": ours / floor,
    }


def _ad(text: str) -> classad2.ClassAd:
    return classad2.parseOne(text, classad2.ParserType.Old)


def _fastest(do: Callable[[], object]) -> float:
    times = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        do()
        times.append(time.perf_counter() - began)
    return min(times)
