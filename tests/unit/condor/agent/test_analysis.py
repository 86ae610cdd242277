"""Slots whose ads somebody wrote to break whoever looks at them: the others are seen all the same."""

from __future__ import annotations

from typing import Any

import classad2
import pytest

from htcdask_operator.condor.agent import analysis
from htcdask_operator.condor.agent.apart import apart
from htcdask_operator.condor.errors import CondorError

JOB = """
RequestMemory = 4096
Requirements = TARGET.Memory >= RequestMemory && TARGET.Arch == "X86_64"
"""
GOOD = """
Name = "slot1@good"
Arch = "X86_64"
PartitionableSlot = true
State = "Unclaimed"
Memory = 0
TotalSlotMemory = 8192
Requirements = TARGET.RequestMemory > 0
"""


def ad(text: str) -> Any:
    return classad2.parseOne(text, classad2.ParserType.Old)


ODD = {
    "a total of itself": 'PartitionableSlot = true\nTotalSlotMemory = MY["TotalSlotMemory"]\n',
    "a name of itself": 'Name = MY["Name"]\nTotalSlotMemory = 8192\n',
    "nothing": "A = 1\n",
    "no requirements": GOOD.replace("Requirements = TARGET.RequestMemory > 0", "").replace("good", "odd"),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_slot_hides_no_other(odd: str) -> None:
    found = apart("it", lambda: analysis.analyze(ad(JOB), [ad(ODD[odd]), ad(GOOD)]))
    assert found["slots"] == 2
    assert "slot1@good" in found["fit"]
    asked = apart("it", lambda: analysis.refusals(ad(JOB), [ad(ODD[odd]), ad(GOOD)]))
    assert (asked["looked_at"], asked["take"]) == (2, 1)


def test_a_slot_whose_requirements_end_the_library_ends_no_process_of_ours() -> None:
    slot = GOOD.replace("TARGET.RequestMemory > 0", 'MY["Requirements"]')
    with pytest.raises(CondorError, match="what a slot requires takes too much time or memory"):
        apart("what a slot requires", lambda: analysis.refusals(ad(JOB), [ad(slot)]))


@pytest.mark.parametrize("asked", ['real("INF")', "pow(10.0, 400)", 'real("NaN")'])
def test_numbers_without_end_are_not_told(asked: str) -> None:
    job = ad(f"Requirements = TARGET.Memory >= {asked}\n")
    (clause,) = apart("it", lambda: analysis.analyze(job, [ad(GOOD)]))["clauses"]
    assert (clause["met"], clause.get("asked")) == (0, None)


def test_how_many_attributes_a_job_asks_of_each_slot_is_bounded() -> None:
    many = " && ".join(f"TARGET.A{number} > 0" for number in range(500))
    assert len(analysis.wanted_of_slots(ad(f"Requirements = {many}\n"))) < 100


def test_slots_of_one_name_are_looked_at_once() -> None:
    assert analysis.some(["slot1@a"] * 1000) == ["slot1@a"]
    assert len(analysis.some([f"slot1@{number}" for number in range(1000)])) == 40
