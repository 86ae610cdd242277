"""Each verdict on the slots, in the words that people read: cause and remedy, and what nobody can know."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from htcdask_operator.core import verdict
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
    "a GPU": (
        Analysis(40, (FINE, replace(GPUS, undefined=0, asked=1, nearest=(0,)))),
        "NoMatchingSlots",
        "`TARGET.GPUs >= RequestGPUs`: 1 GPU is asked for, and the largest has 0; ask for fewer.",
    ),
    "GPUs": (
        Analysis(40, (FINE, replace(GPUS, undefined=0, asked=2, nearest=(1,)))),
        "NoMatchingSlots",
        ": 2 GPUs are asked for, and the largest has 1; ask for fewer.",
    ),
    "half a core": (
        Analysis(40, (replace(FINE, met=0, asked=1.5, nearest=(1,)),)),
        "NoMatchingSlots",
        ": 1.5 cores are asked for, and the largest has 1; ask for fewer.",
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
    "another rule": (
        Analysis(40, fit=12, looked_at=12, refuse=12, rule="TARGET.RequestCpus > 5"),
        "SlotsRefuse",
        "and their own rules refuse it: `TARGET.RequestCpus > 5` in their Requirements is false. Ask the",
    ),
    "machines that drain": (
        Analysis(40, fit=12, looked_at=12, drain=12, drain_reason="new\nkernel" + "x" * 500),
        "SlotsRefuse",
        '12 of 40 slots fit the job when they are empty, and they drain ("new\N{SYMBOL FOR LINE FEED}kernel'
        + "x" * (200 - 10)
        + '"): no job starts there until the site ends that. Ask it when.',
    ),
    "some drain, and nobody knows of the others": (
        Analysis(40, fit=12, looked_at=12, drain=3, unknown=9),
        "SlotsRefuse",
        "and at least 3 of them drain: no job starts there",
    ),
    "some drain, and others refuse": (
        Analysis(40, fit=12, looked_at=12, drain=3, drain_reason="kernel", refuse=9, start="false"),
        "SlotsRefuse",
        'and at least 3 of them drain ("kernel"), and the others\' own rules refuse it (at least 9 of them): '
        "START is false. Ask",
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
    "full, as far as anybody looked": (
        Analysis(900, fit=800, looked_at=40, take=40, ahead=0),
        "PoolFull",
        "800 of 900 slots fit the job when they are empty, and none of the 40 looked at has room now: ",
    ),
    "full, and others come first": (
        Analysis(40, fit=12, looked_at=12, take=12, ahead=2),
        "PoolFull",
        "sooner. 2 other accounting users with idle jobs and a better priority (condor_userprio) come first: "
        "this one's improves while fewer of its jobs run.",
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
        "Another accounting user with idle jobs and a better priority (condor_userprio) comes first: this "
        "one's improves while fewer of its jobs run.",
    ),
    "a quota": (
        Analysis(40, fit=12, looked_at=12, take=12, room=3, group="group_dask", quota=8.0, used=8.0),
        "QuotaReached",
        "and the accounting group group_dask has 8 of its quota of 8: the job starts when others of the "
        "group end. Who needs more asks the site.",
    ),
    "no negotiator": (
        Analysis(40, fit=12, looked_at=12, take=12, room=3, ahead=1, negotiators=0),
        "WaitingForMatch",
        "HTCondor's pool has no negotiator now: nothing is matched, whoever asks; tell the site's admins. "
        "12 of 40 slots fit the job when they are empty.",
    ),
    "a negotiator that does nothing": (
        Analysis(40, fit=12, looked_at=12, take=12, ahead=1, negotiators=1, quiet=725.0),
        "WaitingForMatch",
        "The pool's negotiator has not run for 12 min: nothing is matched, whoever asks; tell the site's "
        "admins. 12 of 40 slots fit the job when they are empty.",
    ),
    "no negotiator, and nothing for it": (
        Analysis(40, (FINE, WISH), negotiators=0),
        "NoMatchingSlots",
        "whoever asks; tell the site's admins. No slot of 40 meets `TARGET.Arch",
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
        "sooner. 1 idle job of the same accounting user (everybody, where the site sets no accountingGroup), "
        "older or of a higher priority, is offered before it.",
    ),
    "its turn, and many come first": (
        Analysis(40, fit=12, looked_at=12, take=12, room=3, ahead=2, earlier=7),
        "WaitingForMatch",
        "7 idle jobs of the same accounting user (everybody, where the site sets no accountingGroup), "
        "older or of a higher priority, are offered before it. 2 other accounting users",
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


# What moves by itself: counts of slots and of users, and the minutes of a negotiator that stands still.
COUNTS = re.compile(r"\b\d[\d.]*( min|( [KMGT]iB)?)")


def words(analysis: Analysis) -> str:
    """What people read of it, without the counts."""
    text = slots.told(analysis, make_job())[1]
    text = text.replace("Another accounting user", "2 other accounting users").replace(
        "comes first", "come first"
    )
    text = text.replace("idle job of", "idle jobs of").replace(", is offered", ", are offered")
    return COUNTS.sub("#", text)


def changes(found: Analysis) -> list[tuple[str, Any]]:
    """What else may have been found."""
    return [
        ("start", "TARGET.Owner is undefined"),
        ("rule", "TARGET.A"),
        ("drain", 12),
        ("drain_reason", "disk"),
        ("broken", 1),
        ("broken_slot", "slot1@evil"),
        ("group", "group_cms"),
        ("ahead", None),
        ("ahead", 0),
        ("ahead", 3),
        ("earlier", 2),
        ("limit", "license"),
        ("limit_used", None),
        ("limit_used", 9.0),
        ("negotiators", 0),
        ("quiet", 900.0),
        ("clauses", (*found.clauses[::-1], WISH)),
        ("clauses", (replace(RARE, text="TARGET.Rare", without=0, asked=None), *found.clauses[:-1])),
        ("clauses", tuple(replace(each, nearest=("s390x",)) for each in found.clauses)),
        ("clauses", tuple(replace(each, undefined=40) for each in found.clauses)),
    ]


OTHERS: list[tuple[str, Analysis]] = [
    (case, replace(found, **dict([change])))
    for case, (found, _, _) in CASES.items()
    for change in changes(found)
]


@pytest.mark.parametrize("case", CASES)
def test_what_is_told_in_other_words_comes_to_something_else(case: str) -> None:
    """What comes to the same is told as it was, for ten minutes."""
    before = CASES[case][0]
    others = [found for _, (found, _, _) in CASES.items()] + [found for its, found in OTHERS if its == case]
    different = [found for found in others if words(found) != words(before)]
    assert len(different) > len(CASES) // 2
    for found in different:
        assert verdict.of(found) != verdict.of(before), slots.told(found, make_job())[1]


MOVED: list[tuple[str, dict[str, object]]] = [
    ("full", {"slots": 41, "fit": 13, "looked_at": 13, "take": 13}),
    ("full, and others come first", {"ahead": 7}),
    ("its turn", {"room": 1}),
    ("a quota", {"used": 9.0}),
    ("a rule of some", {"refuse": 38, "unknown": 2}),
    ("a negotiator that does nothing", {"quiet": 785.0}),
    ("nothing stands out", {"clauses": (Clause("a", 3), Clause("b", 2), Clause("c", 38))}),
    ("one beside the others", {"clauses": (FINE, replace(RARE, without=8, nearest=(2**20 + 9,)))}),
    ("a wish", {"clauses": (FINE, replace(WISH, nearest=("AARCH64", "X86_64")))}),
]


@pytest.mark.parametrize(("case", "moved"), MOVED)
def test_what_moves_by_itself_is_not_told_anew(case: str, moved: dict[str, Any]) -> None:
    before = CASES[case][0]
    assert replace(before, **moved) != before
    assert verdict.of(replace(before, **moved)) == verdict.of(before)


def test_a_number_that_moved_far_is_told_anew() -> None:
    """However slowly it went: it is held to what was told, not to what was seen last."""
    told = verdict.of(Analysis(40, (FINE, MEMORY)))
    near = [524288 + step * 16384 for step in range(12)]
    same = [verdict.of(Analysis(40, (FINE, replace(MEMORY, nearest=(most,))))) == told for most in near]
    assert same == [True] * 4 + [False] * 8


def test_slots_of_which_nothing_is_known_are_told_beside_the_others() -> None:
    known = CASES["too much memory"][0]
    rest = slots.told(known, make_job())[1]
    told = slots.told(replace(known, broken=1, broken_slot="slot1@evil\n"), make_job())
    assert told[0] == "NoMatchingSlots"
    assert told[1] == (
        f"{rest} Of 1 slot (slot1@evil\N{SYMBOL FOR LINE FEED}) nothing is known: "
        "what it says takes too much time or memory, or ends HTCondor's library. Tell the site's admins."
    )
    assert (
        "Of 3 slots (slot1@evil) nothing is known: what they say takes"
        in (slots.told(replace(known, broken=3, broken_slot="slot1@evil"), make_job())[1])
    )


@pytest.mark.parametrize("case", CASES)
def test_no_verdict_is_all_that_htcondor_says(case: str) -> None:
    assert slots.told(CASES[case][0], make_job())[1] not in ("", "no match found")
