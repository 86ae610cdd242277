"""Slots whose ads somebody wrote to break whoever looks at them: the others are seen all the same."""

from __future__ import annotations

from typing import Any

import classad2
import pytest

from htcdask_operator.condor.agent import analysis, fair_share, refusals, sifted
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
    found = analysis.analyze(ad(JOB), [ad(ODD[odd]), ad(GOOD)])
    assert (found["slots"], found["broken"]) == (2, [])
    assert "slot1@good" in found["fit"]
    asked = refusals.refusals(ad(JOB), [ad(ODD[odd]), ad(GOOD)])
    assert (asked["looked_at"], asked["take"], asked["broken"]) == (2, 1, [])


# A million million evaluations.
DEADLY = {
    "it ends the library": 'MY["{0}"]\n',
    "it takes for ever": "A0\n" + "".join(f"A{n} = A{n + 1} + A{n + 1}\n" for n in range(40)) + "A40 = 1\n",
}


@pytest.fixture
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that has other work, too."""
    monkeypatch.setattr(sifted, "SECONDS", 60.0)


@pytest.mark.usefixtures("time_enough")
@pytest.mark.parametrize("deadly", DEADLY)
def test_a_slot_that_cannot_be_asked_hides_no_other(deadly: str) -> None:
    bad = GOOD.replace("@good", "@bad").replace(
        "Requirements = TARGET.RequestMemory > 0\n", f"Requirements = {DEADLY[deadly].format('Requirements')}"
    )
    slots = [ad(GOOD) for _ in range(40)]
    slots[17] = ad(bad)
    asked = refusals.refusals(ad(JOB), slots)
    assert (asked["looked_at"], asked["take"], asked["unknown"]) == (40, 39, 1)
    assert asked["broken"] == ["slot1@bad"]


@pytest.mark.usefixtures("time_enough")
@pytest.mark.parametrize("deadly", DEADLY)
def test_a_slot_that_no_clause_can_be_held_to_hides_no_other(deadly: str) -> None:
    bad = GOOD.replace("@good", "@bad").replace(
        'Arch = "X86_64"\n', f"Arch = {DEADLY[deadly].format('Arch')}"
    )
    slots = [ad(GOOD) for _ in range(400)]
    slots[399] = ad(bad)
    found = analysis.analyze(ad(JOB), slots)
    assert (found["slots"], len(found["fit"]), found["broken"]) == (399, 399, ["slot1@bad"])
    assert [clause["met"] for clause in found["clauses"]] == [399, 399]


def test_where_no_slot_can_be_asked_nothing_is_known() -> None:
    bad = GOOD.replace("TARGET.RequestMemory > 0", 'MY["Requirements"]').replace('"X86_64"', 'MY["Arch"]')
    asked = refusals.refusals(ad(JOB), [ad(bad)] * 3)
    assert (asked["looked_at"], asked["unknown"], len(asked["broken"])) == (3, 3, 3)
    with pytest.raises(CondorError, match="what the job requires takes too much time or memory"):
        analysis.analyze(ad(JOB), [ad(bad)] * 3)


def test_what_a_strangers_ad_says_of_fair_share_is_not_worked_out() -> None:
    strange = ad('Name = MY["Name"]\nPriority = MY["Priority"]\n')
    job = ad('User = "dask@example.org"\n')
    mine, theirs = ad('Name = "dask@example.org"\nPriority = 2.0\n'), ad('Name = "a"\nPriority = 1.0\n')
    ads = {"Accounting": [strange, mine, theirs], "Submitter": [strange, theirs]}
    assert fair_share.standing(job, lambda kind, *_: ads[kind], lambda _: 0)["ahead"] == 1
    slots = [ad('ConcurrencyLimits = MY["ConcurrencyLimits"]\n'), ad('ConcurrencyLimits = "license"\n')]
    assert fair_share.used("license", slots) == 1


LONG = " && ".join(f"TARGET.RequestMemory > {number}" for number in range(20))
RULES = {
    "START && WithinResourceLimits": ("start", "false"),
    "(MY.Start) && TARGET.RequestMemory > 0": ("start", "false"),
    "TARGET.RequestMemory > 0 && (TARGET.RequestMemory > 9999)": ("rule", "TARGET.RequestMemory > 9999"),
    "TARGET.RequestMemory > 9999": ("rule", "TARGET.RequestMemory > 9999"),
    "false || TARGET.RequestMemory > 9999": ("rule", "false || TARGET.RequestMemory > 9999"),
    "false": ("rule", "false"),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_part_of_its_requirements_by_which_a_slot_refuses_is_told(rule: str) -> None:
    kind, text = RULES[rule]
    slot = f"Start = false\nWithinResourceLimits = true\nRequirements = {rule}\n"
    told = refusals.refusals(ad(JOB), [ad(slot)])
    assert told["refuse"] == 1
    assert {name: told[name] for name in ("start", "rule")} == {"start": None, "rule": None, kind: text}


def test_of_a_long_start_what_refuses_is_told() -> None:
    slot = f'Start = {LONG} && TARGET.Department is "physics"\nRequirements = START && true\n'
    told = refusals.refusals(ad(JOB), [ad(slot)])
    assert told["start"] == '… && TARGET.Department is "physics" && …'


@pytest.mark.parametrize("drains", ["Draining = true\n", 'State = "Drained"\n'])
def test_a_machine_that_drains_refuses_by_no_rule(drains: str) -> None:
    slot = f'{drains}DrainReason = "{"why" * 100}"\nStart = false\nRequirements = START\n'
    told = refusals.refusals(ad(JOB), [ad(slot), ad(f"{drains}Requirements = TARGET.A\n")])
    assert (told["drain"], told["refuse"], told["unknown"], told["start"]) == (2, 0, 0, None)
    assert told["drain_reason"] == ("why" * 100)[:200]


def test_a_machine_that_takes_the_job_while_it_drains_takes_it() -> None:
    told = refusals.refusals(ad(JOB), [ad("Draining = true\nRequirements = true\n")])
    assert (told["drain"], told["take"]) == (0, 1)


@pytest.mark.parametrize("asked", ['real("INF")', "pow(10.0, 400)", 'real("NaN")'])
def test_numbers_without_end_are_not_told(asked: str) -> None:
    job = ad(f"Requirements = TARGET.Memory >= {asked}\n")
    (clause,) = analysis.analyze(job, [ad(GOOD)])["clauses"]
    assert (clause["met"], clause.get("asked")) == (0, None)


OFFERS: dict[str, tuple[object, list[object]] | None] = {
    "Memory >= 99999": (99999, [8192]),
    "TARGET.Memory >= 99999": (99999, [8192]),
    "TARGET.Memory >= 99999 * (2 + 1)": (299997, [8192]),
    "Memory >= ifThenElse(1 > 0 || false, 99999, 1)": (99999, [8192]),
    'Arch == "a||b?c:d"': ("a||b?c:d", ["X86_64"]),
    "Memory >= 99999 || HasFoo == 3": None,
    "Memory >= 99999 ? true : Cpus > 4000": None,
    "Memory >= 99999 == true": None,
    "Memory >= 99999 is true": None,
    "Memory >= 99999 isnt false": None,
    "Memory >= 99999 =?= true": None,
    "Memory >= 99999 =!= false": None,
    "Memory >= 99999 != false": None,
    "Memory >= 99999 | 0": None,
    "RequestMemory >= 99999": None,
}


@pytest.mark.parametrize("text", OFFERS)
def test_an_offer_is_told_of_a_plain_comparison_only(text: str) -> None:
    job = ad(f"RequestMemory = 1\nRequirements = ({text}) && Cpus is undefined\n")
    slot = GOOD.replace("Memory = 0", "Memory = 0\nRequestMemory = 7")
    clause = analysis.analyze(job, [ad(slot)])["clauses"][0]
    found = (clause["asked"], clause["nearest"]) if "asked" in clause else None
    assert found == OFFERS[text]


def test_how_many_attributes_a_job_asks_of_each_slot_is_bounded() -> None:
    many = " && ".join(f"TARGET.A{number} > 0" for number in range(500))
    assert len(analysis.wanted_of_slots(ad(f"Requirements = {many}\n"))) < 100


def test_slots_of_one_name_are_looked_at_once() -> None:
    assert refusals.some(["slot1@a"] * 1000) == ["slot1@a"]
    assert len(refusals.some([f"slot1@{number}" for number in range(1000)])) == 40
