"""HTCondor's codes of held and vacated jobs, each provoked on a real pool: what the operator makes of it.

By the operator's whole loop (`shell`: Kubernetes and the scheduler are fakes). One pool has all the rules,
and one operator for each code; they work side by side, and each test looks at what became of one of them.
Where other codes are shown, or why they are in the unit tests alone:

- 16, 26, 1023: `test_site_rules`; 21 for memory: `test_memory`; 33, 1022: `test_condor`.
- 11, 18: both ends of a transfer are HTCondor's own, and neither can be made to speak wrongly from outside.
- 22: HTCondor 25 only logs that it cannot open a job's log. 23: the access point knows the owner of each job.
- 27, 1001: HTCondor 25 takes a system-wide expression without a value for false, and never evaluates
  SYSTEM_PERIODIC_VACATE. 5 is left for TimerRemove alone.
- 34: an execute node in a pod may have no cgroup of its own, and none is used here.
- 35: the image of a docker universe job; Apptainer's images that nobody can pull are 45.
- 1002, 1007, 1012, 1021, 1024, 1031, 1036: mistakes of HTCondor's daemons, and machines that break.
- 1003, 1005, 1006, 1026, 1028-1030, 1032-1035: races of the daemons; 1027 stands for them.
- 1004, 1009, 1016-1019: of other universes and of machines that sleep or prefer another job; 1010 and 1014
  stand for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from htcdask_operator.core.model import Job, JobStatus, Role
from htcdask_operator.core.workers import failure_policy
from playground.build import rootfs_condor
from playground.build.errors import PlaygroundError
from playground.condor.bare import BarePool
from tests.contract.container import make_image
from tests.contract.labs import IMAGE
from tests.contract.shell import Operator, Shell, anchors, is_held

RUNS_ON: Final = b"trap 'exit 0' TERM; while true; do sleep 0.1; done\n"
FAILS: Final = b"exit 3\n"
LOSES_ITS_OUTPUT: Final = b'rm -f "$_CONDOR_SCRATCH_DIR/_condor_stdout"; exit 3\n'
_SECONDS: Final = 120.0  # for one step, while all the others are about: a case alone takes less than 15

KEPT, REPLACED, STALLED, MENDED = "kept", "replaced", "stalled", "replaced with new files, and runs"


@dataclass(frozen=True)
class Case:
    """How a code comes about, and what follows."""

    code: int
    reason: str
    follows: str
    says: str  # of the message
    rule: str = ""  # a transform of its workers
    beforehand: Callable[[BarePool, Job], object] | None = None  # with the anchor
    to_running: Callable[[BarePool, Job], object] | None = None
    payload: bytes = RUNS_ON
    image: str = IMAGE
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def operator_id(self) -> str:
        return f"code-{self.code}"


def rule(*lines: str) -> str:
    """Of a transform."""
    return "".join(f"\n  {line}" for line in lines)


def lose_files(pool: BarePool, anchor: Job) -> None:
    pool.path(f"{anchor.iwd}/bundle.sh").unlink()


def lose_folder(pool: BarePool, anchor: Job) -> None:
    pool.run("rm", "-r", anchor.iwd or "")


def hold(pool: BarePool, worker: Job) -> None:
    pool.run("condor_hold", worker.id)


def kill_starter(pool: BarePool, worker: Job) -> None:
    slot = pool.run("condor_q", "-allusers", worker.id, "-af", "RemoteHost").partition("@")[0]
    pool.run("pkill", "-KILL", "-f", f"^condor_starter .* -a {slot} ")


def vacate(pool: BarePool, worker: Job) -> None:
    slot = pool.run("condor_q", "-allusers", worker.id, "-af", "RemoteHost").strip()
    pool.run("condor_vacate", "-fast", slot)


def shut_down(pool: BarePool, worker: Job) -> None:
    pool.run("condor_off", "-fast", "-subsystem", f"M{SHUT_DOWN}")


def drain(pool: BarePool, worker: Job) -> None:
    pool.run("condor_drain", "-fast", f"slot1@m{DRAINED}")


SHUT_DOWN, DRAINED = 1013, 1014  # each on a machine of its own
CASES: Final = (
    Case(1, "HeldByUser", KEPT, "via condor_hold (by user", to_running=hold),
    Case(
        3,
        "HeldByPolicy",
        STALLED,
        "the group's own policy",
        rule("SET PeriodicHold (JobStatus == 2)", 'SET PeriodicHoldReason "the group\'s own policy"'),
    ),
    Case(
        4,
        "CredentialInvalid",
        STALLED,
        "credentials are not available",
        rule('SET OAuthServicesNeeded "none"'),
    ),
    Case(5, "PolicyBroken", STALLED, "evaluated to UNDEFINED", rule("SET TimerRemove (NoSuchAttribute)")),
    Case(6, "BadImage", REPLACED, "Failed to execute '/nowhere'", rule('SET PreCmd "/nowhere"')),
    Case(
        7,
        "AccessPointFiles",
        REPLACED,
        "'/nowhere/out' as standard output",
        rule('SET Out "/nowhere/out"', 'SET ShouldTransferFiles "NO"'),
    ),
    Case(
        8,
        "AccessPointFiles",
        REPLACED,
        "'/nowhere/in' as standard input",
        rule('SET In "/nowhere/in"', "SET StreamIn false", 'SET ShouldTransferFiles "NO"'),
    ),
    Case(
        9,
        "AccessPointFiles",
        REPLACED,
        "standard output stream",
        rule('SET Out "/nowhere/out"', "SET StreamOut true"),
    ),
    Case(10, "AccessPointFiles", MENDED, "standard input", beforehand=lose_folder),
    Case(12, "TransferFailed", REPLACED, "_condor_stdout", payload=LOSES_ITS_OUTPUT),
    Case(
        13, "AccessPointFiles", MENDED, "bundle.sh", beforehand=lose_files, settings={"delivery": "transfer"}
    ),
    Case(14, "AccessPointFiles", STALLED, "initial working directory", rule('SET Iwd "/nowhere"')),
    Case(
        15,
        "HeldByUser",
        KEPT,
        "submitted on hold",
        rule(
            "SET JobStatus 5",
            "SET HoldReasonCode 15",
            'SET HoldReason "submitted on hold at user\'s request"',
        ),
    ),
    Case(19, "MachineRefused", REPLACED, "PREPARE_JOB", rule('SET HookKeyword "REFUSES"')),
    Case(20, "Held", REPLACED, "missed deferred execution time", rule("SET DeferralTime 1")),
    Case(21, "MachineRefused", STALLED, "the machine's own rule"),
    Case(32, "HeldBySite", STALLED, "MAX_TRANSFER_INPUT_MB (0)", rule("SET MaxTransferInputMB 0")),
    Case(
        43,
        "HeldBySite",
        STALLED,
        "Pre script failed",
        rule('SET PreCmd "/bin/false"', "SET SuccessPreExitBySignal false", "SET SuccessPreExitCode 0"),
    ),
    Case(
        44,
        "HeldBySite",
        STALLED,
        "Post script failed",
        rule('SET PostCmd "/bin/false"', "SET SuccessPostExitBySignal false", "SET SuccessPostExitCode 0"),
        payload=FAILS,
    ),
    Case(
        45,
        "BadImage",
        REPLACED,
        "Is the image's name right, is it there, and can execute nodes read it?",
        image="/cvmfs/nowhere/typo:latest",
    ),
    Case(46, "RunTimeOver", REPLACED, "allowed job duration", rule("SET AllowedJobDuration 4")),
    Case(47, "RunTimeOver", REPLACED, "allowed execute duration", rule("SET AllowedExecuteDuration 3")),
    Case(48, "HeldBySite", STALLED, "SHADOW_PREPARE_JOB (refuse) failed", rule('SET HookKeyword "ASKS"')),
    Case(
        99,  # which is none yet
        "Held",
        STALLED,
        "in words of a newer release",
        rule("SET JobStatus 5", "SET HoldReasonCode 99", 'SET HoldReason "in words of a newer release"'),
    ),
    Case(1000, "VacatedByPolicy", REPLACED, "PeriodicVacate", rule("SET PeriodicVacate (JobStatus == 2)")),
    Case(1008, "ContactLost", REPLACED, "not found at execution machine", to_running=kill_starter),
    Case(1010, "EvictedEarly", REPLACED, "by the administrator", to_running=vacate),
    Case(1011, "EvictedEarly", REPLACED, "PREEMPT expression"),
    Case(SHUT_DOWN, "EvictedEarly", REPLACED, "was shutdown", to_running=shut_down),
    Case(DRAINED, "EvictedEarly", REPLACED, "draining", to_running=drain),
    Case(1027, "SlotLost", REPLACED, "lost its slot"),
)

RULES = "".join(
    [
        "use POLICY : WANT_HOLD_IF(REFUSED, 77, the machine's own rule)\n",
        'REFUSED = (HTCDaskOperator =?= "code-21")\n',
        'PREEMPT = ($(PREEMPT)) || (TARGET.HTCDaskOperator =?= "code-1011")\n',
        "REFUSES_HOOK_PREPARE_JOB = /usr/local/bin/refuse\n",
        "ASKS_HOOK_SHADOW_PREPARE_JOB = /usr/local/bin/refuse\n",
        "ASKS_HOOK_PREPARE_JOB_BEFORE_TRANSFER = /usr/local/bin/refuse\n",
        "STARTER_ALLOW_JOB_PRE_AND_POST_CMD = True\n",
        # Asked for the match, and again when a job is to start on what was given for it.
        f'START = !member(TARGET.HTCDaskOperator, {{"code-{SHUT_DOWN}", "code-{DRAINED}"}}) && '
        '(TARGET.HTCDaskOperator =!= "code-1027" || MY.State =!= "Claimed")\n',
        *(
            f"DAEMON_LIST = $(DAEMON_LIST) M{code}\nM{code} = $(STARTD)\n"
            f"M{code}_ARGS = -f -local-name M{code}\nM{code}_LOG = $(LOG)/M{code}Log\n"
            f"M{code}.STARTD_LOG = $(LOG)/M{code}Log\nM{code}.STARTD_ADDRESS_FILE = $(LOG)/.m{code}\n"
            f"M{code}.NETWORK_HOSTNAME = m{code}\n"
            f'M{code}.START = (TARGET.HTCDaskOperator =?= "code-{code}")\n'
            for code in (SHUT_DOWN, DRAINED)
        ),
        f"JOB_TRANSFORM_NAMES = {' '.join(f'C{case.code}' for case in CASES if case.rule)}\n",
        *(
            f'JOB_TRANSFORM_C{case.code} @=end\n  REQUIREMENTS HTCDaskOperator =?= "{case.operator_id}" && '
            f'HTCDaskRole == "worker"{case.rule}\n@end\n'
            for case in CASES
            if case.rule
        ),
    ]
)


@dataclass(frozen=True)
class Outcome:
    """What became of a pool."""

    codes: frozenset[int]
    reasons: frozenset[str]
    messages: str
    submits: int
    follows: str


class Story:
    """One code, provoked."""

    def __init__(self, case: Case, pool: BarePool, folder: Path) -> None:
        self._case = case
        self._pool = pool
        self._shell = Shell(
            pool, folder, case.operator_id, cores=1, memory="100Mi", containerImage=case.image
        )
        self._operator: Operator = self._shell.operator(
            case.payload, pause=0.5, backoff_first_seconds=1.0, **case.settings
        )

    async def run(self) -> Outcome:
        """Until what should follow has, or for long enough."""
        try:
            with suppress(TimeoutError):  # the test shows what there is
                await self._provoke()
            return self._outcome(await self._operator.agent.jobs())
        finally:
            await self._shell.leave()

    async def _provoke(self) -> None:
        case, operator = self._case, self._operator
        await operator.until(is_held, _SECONDS)
        if case.beforehand is not None:
            (anchor,) = anchors(await operator.agent.jobs())
            case.beforehand(self._pool, anchor)
        self._shell.want(1)
        if case.to_running is not None:
            await operator.until(running, _SECONDS)
            (worker,) = running(await operator.agent.jobs())
            await self._happen(case.to_running, worker)
        await operator.until(lambda jobs: self._follows(jobs) == case.follows, _SECONDS)
        if case.follows in (KEPT, STALLED):
            await operator.go_on(4)

    async def _happen(self, what: Callable[[BarePool, Job], object], worker: Job) -> None:
        """The collector may not know the worker's slot yet."""
        async with asyncio.timeout(_SECONDS):
            while True:
                with suppress(PlaygroundError):
                    what(self._pool, worker)
                    return
                await self._operator.go_on(1)

    def _follows(self, jobs: tuple[Job, ...]) -> str:
        if self._shell.said("Stalled")[0] == self._case.reason:
            return STALLED
        if self._operator.asked["submit"] == 1:
            held = [job for job in workers(jobs) if job.status is JobStatus.HELD]
            return KEPT if held and self._shell.status.get("explanation") else ""
        if self._case.follows == MENDED:
            return MENDED if self._operator.asked["spool"] == 2 and running(jobs) else ""
        return REPLACED if self._shell.status.get("recentFailures") else ""

    def _outcome(self, jobs: tuple[Job, ...]) -> Outcome:
        told = [*self._shell.status.get("recentFailures", ()), *self._shell.status.get("explanation", ())]
        codes = {
            job.hold_code if job.status is JobStatus.HELD else job.vacate_code
            for job in workers(self._operator.seen)
        }
        return Outcome(
            frozenset(code for code in codes if code is not None),
            frozenset(its["reason"] for its in told),
            " ".join(its["message"] for its in told),
            self._operator.asked["submit"],
            self._follows(jobs),
        )


def workers(jobs: Any) -> list[Job]:
    return [job for job in jobs if job.role is Role.WORKER]


def running(jobs: tuple[Job, ...]) -> list[Job]:
    return [job for job in workers(jobs) if job.status is JobStatus.RUNNING and job.started_at]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Outcome]]:
    """Of each code."""
    folder = tmp_path_factory.mktemp("codes")
    make_image(rootfs_condor.unpacked(), folder / "cvmfs/img")
    with BarePool(folder / "pool", folder / "cvmfs", RULES) as pool:
        hook = pool.path("/usr/local/bin/refuse")
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)

        async def all_of_them() -> dict[int, Outcome]:
            found = await asyncio.gather(*(Story(case, pool, folder).run() for case in CASES))
            return {case.code: its for case, its in zip(CASES, found, strict=True)}

        yield asyncio.run(all_of_them())


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.code))
def test_each_code_has_its_reason_and_what_follows(outcomes: dict[int, Outcome], case: Case) -> None:
    found = outcomes[case.code]
    assert case.code in found.codes, found
    assert case.reason in found.reasons, found
    assert case.says in found.messages, found
    assert found.follows == case.follows, found
    if case.follows == KEPT:
        assert found.submits == 1, found
    if case.follows == STALLED:
        assert found.submits == failure_policy.of(case.reason).events, found
