"""An access point in memory, as far as the operator can tell: jobs, their lives, leases, and a clock.

Held to a real HTCondor by tests/contract/test_condor.py. Several operators may share one `FakeSchedd`; each
asks by its own `FakeCondor`. Nothing happens until `tick`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from htcdask_api import names as attributes
from htcdask_operator.condor import clocks
from htcdask_operator.condor import description as descriptions
from htcdask_operator.condor.agent.submit_language import parsed
from htcdask_operator.condor.errors import CondorError, CondorRefused, RuleRefused, SubmitRefused
from htcdask_operator.core.model import Analysis, Clause, Job, JobId, JobStatus, PoolUid, Role, WorkerName
from htcdask_operator.core.submit import worker_names

ENDED_SECONDS = 300.0
LARGEST_OUTPUT = 2**20
LARGEST_TAIL = 2**16
_EXCLUDED = re.compile(r"!member\(TARGET\.Machine, \{(.*?)\}\)")
_GONE = (JobStatus.REMOVED, JobStatus.COMPLETED)


def ended(job: Job) -> bool:
    """Whether its process has ended by itself, also if the job was removed since then."""
    return job.exit_code is not None or job.exit_signal is not None


def moved(job: Job, seconds: float) -> Job:
    """The job as a clock that is so far ahead shows it."""
    if not seconds:
        return job
    times = ("queued_at", "status_since", "lease", "started_at", "stage_in_finish", "connects_at")
    shown = {name: time + seconds for name in times if (time := getattr(job, name)) is not None}
    return replace(job, **shown)


@dataclass(frozen=True)
class Life:
    """What a worker's process does once it runs: print, and end with a status after a while, or never."""

    prints: str = ""
    exit_code: int | None = None
    seconds: float = 0.0
    closing: float = 0.0  # how long it lives on after it was told to end


@dataclass
class Entry:
    """A job in the queue and what the schedd knows of it beyond its `Job`."""

    job: Job
    operator: str
    owner: str
    matches: bool = True  # false: its requirements are literally false
    anchor: JobId | None = None  # whose directory its output goes to
    hidden: bool = False  # no answer shows it
    avoids: frozenset[str] = frozenset()  # machines that its requirements exclude


@dataclass
class FakeSchedd:
    """The queue."""

    now: float = 1_800_000_000.0
    slots: int = 1000
    machines: int = 1
    life: Callable[[WorkerName], Life] = lambda _: Life()
    queue: dict[JobId, Entry] = field(default_factory=dict)
    files: dict[JobId, dict[str, str]] = field(default_factory=dict)
    clusters: int = 0
    silent: bool = False  # execute nodes do not answer: a removed job that runs does not leave
    dead: set[str] = field(default_factory=set)  # machines that are so for good
    attracts: str | None = None  # this machine has always a free slot: who may goes there
    hides: bool = False  # what is submitted now is shown to nobody
    jobs_per_submission: int | None = None  # MAX_JOBS_PER_SUBMISSION
    jobs_per_owner: int | None = None  # MAX_JOBS_PER_OWNER
    lost: set[JobId] = field(default_factory=set)  # whose files are gone, and the jobs are not
    rule: Callable[[Mapping[str, str]], str | None] = lambda _: None  # why it refuses this job, if it does

    def tick(self, seconds: float = 1.0) -> None:
        """Let time pass, and everything happen that had to."""
        self.now += seconds
        for entry in list(self.queue.values()):
            self._step(entry)

    def vacate(self, job: JobId, code: int | None = 1022, reason: str = "Vacated by a person") -> None:
        """Evict a running job: its one life is over, it stays idle with the reason."""
        if self.queue[job].job.status is JobStatus.RUNNING:
            self._change(job, JobStatus.IDLE, vacate_code=code, vacate_reason=reason, started_at=None)

    def end(self, job: JobId, exit_code: int | None = 0, exit_signal: int | None = None) -> None:
        """A running job's process ends by itself, or by a signal."""
        if self.queue[job].job.status is JobStatus.RUNNING:
            self._change(job, JobStatus.COMPLETED, exit_code=exit_code, exit_signal=exit_signal)

    def suspend(self, job: JobId) -> None:
        """A running job's process is stopped for a while."""
        if self.queue[job].job.status is JobStatus.RUNNING:
            self._change(job, JobStatus.SUSPENDED)

    def go_on(self, job: JobId) -> None:
        """It goes on."""
        if self.queue[job].job.status is JobStatus.SUSPENDED:
            self._change(job, JobStatus.RUNNING)

    def restart(self) -> None:
        """The schedd is started anew: the queue is kept, and running jobs are found again."""
        for entry in self.queue.values():
            if entry.job.status is JobStatus.RUNNING:
                starts, found = entry.job.shadow_starts + 1, entry.job.reconnects + 1
                entry.job = replace(entry.job, shadow_starts=starts, reconnects=found)

    def limit(self, owner: str, count: int) -> str | None:
        """Which limit keeps so many more jobs of this owner out, if one does."""
        if self.jobs_per_submission is not None and count > self.jobs_per_submission:
            return "MAX_JOBS_PER_SUBMISSION"
        if self.jobs_per_owner is not None:
            there = sum(entry.owner == owner for entry in self.queue.values())
            if there + count > self.jobs_per_owner:
                return "MAX_JOBS_PER_OWNER"
        return None

    def foreign(self, owner: str, operator: str) -> JobId:
        """A job of somebody else, who wrote an operator's id into it."""
        return self.add(operator, owner, {f"My.{attributes.AD_ROLE}": '"worker"'}, [""])[0]

    def add(
        self, operator: str, owner: str, description: Mapping[str, str], workers: Sequence[WorkerName]
    ) -> list[JobId]:
        """Put jobs into the queue, in one transaction."""
        self.clusters += 1
        role = Role(_string(description, attributes.AD_ROLE))
        lease = description.get(f"My.{attributes.AD_LEASE}")
        wishes = ("My.Requirements", f"My.{attributes.AD_USER_REQUIREMENTS}")
        excluded = _EXCLUDED.search(description.get("My.Requirements", ""))
        avoids = frozenset(re.findall(r'"([^"]*)"', excluded[1])) if excluded else frozenset()
        matches = not any("false" in description.get(key, "") for key in wishes)
        source = (description.get("input") or description.get("transfer_input_files", "")).rpartition("/")[0]
        ids = []
        for proc, worker in enumerate(workers):
            job = Job(
                id=f"{self.clusters}.{proc}",
                status=JobStatus.IDLE,
                role=role,
                owner=owner,
                pool_uid=_string(description, attributes.AD_POOL_UID),
                cluster_uid=_string(description, attributes.AD_CLUSTER_UID),
                user=_string(description, attributes.AD_USER),
                namespace=_string(description, attributes.AD_POOL).partition("/")[0],
                worker=worker,
                template_hash=_string(description, attributes.AD_TEMPLATE),
                anchor=_string(description, attributes.AD_ANCHOR),
                queued_at=self.now,
                status_since=self.now,
                lease=float(lease) if lease else None,
                request_cores=int(description.get("request_cpus", "1")),
                request_memory_mib=int(description.get("request_memory", "1")),
                request_gpus=int(description["request_gpus"]) if "request_gpus" in description else None,
                profile=_string(description, attributes.AD_PROFILE),
                lifetime=_number(description, attributes.AD_LIFETIME),
                succeeds=_string(description, attributes.AD_SUCCEEDS),
                connects_at=_time(description, attributes.AD_CONNECTS_AT),
            )
            anchor = source.removeprefix("/spool/") or None
            self.queue[job.id] = Entry(job, operator, owner, matches, anchor, self.hides, avoids)
            ids.append(job.id)
        return ids

    def add_anchor(
        self, operator: str, owner: str, description: Mapping[str, str], content: str | None
    ) -> JobId:
        """An anchor, and its file; without content its submitter ended before it sent the file."""
        (job,) = self.add(operator, owner, description, [""])
        spool = {"hold_code": 16, "hold_reason": "Spooling input data files", "iwd": f"/spool/{job}"}
        self._change(job, JobStatus.HELD, **spool)
        if content is not None:
            self.files[job] = {"bundle.sh": content}
        return job

    def add_spooled(
        self,
        operator: str,
        owner: str,
        description: Mapping[str, str],
        workers: Sequence[WorkerName],
        content: str | None,
    ) -> list[JobId]:
        """Workers that each have the file; without content their submitter ended before it sent any."""
        made = self.add(operator, owner, description, workers)
        for job in made:
            self._change(job, JobStatus.HELD, hold_code=16, hold_reason="Spooling input data files")
            self.queue[job].anchor = job
            if content is not None:
                self.files[job] = {"bundle.sh": content}
        return made

    def remove(self, job: JobId) -> None:
        """What condor_rm does: the job leaves with the next tick, once its process has ended; or at once."""
        if self.queue[job].job.status is JobStatus.COMPLETED:
            self._forget(job)
        elif self.queue[job].job.status is not JobStatus.REMOVED:
            self._change(job, JobStatus.REMOVED)

    def lose_files(self) -> None:
        """Its disk is new: the directories of all jobs that were spooled are gone, and the queue is not."""
        gone = {job for job in self.files if not self.queue[job].job.spooling}
        self.lost |= gone
        for job in gone:
            del self.files[job]

    def force_remove(self, job: JobId) -> None:
        """What condor_rm -forcex does: nothing for a job that was not removed before."""
        if self.queue[job].job.status is JobStatus.REMOVED:
            self._forget(job)

    def _forget(self, job: JobId) -> None:
        del self.queue[job]
        self.files.pop(job, None)

    def run_out_of_memory(self, job: JobId) -> None:
        """What an execute node does with a job that has used all that it requested."""
        used = self.queue[job].job.request_memory_mib
        if self.queue[job].job.status is JobStatus.RUNNING:
            self._change(job, JobStatus.RUNNING, memory_mib=used)
            self.hold(job, "Job has gone over its memory limit", 34)

    def hold(self, job: JobId, reason: str, code: int = 1) -> None:
        """What condor_hold does; with another code, what HTCondor itself does."""
        if self.queue[job].job.status not in (*_GONE, JobStatus.HELD):
            self._change(job, JobStatus.HELD, hold_code=code, hold_subcode=1, hold_reason=reason)

    def release(self, job: JobId) -> None:
        """What condor_release does: nothing for a job that still waits for its files."""
        held = self.queue[job].job
        if held.status is JobStatus.HELD and not held.spooling:
            self._change(job, JobStatus.IDLE, hold_code=None, hold_subcode=None, hold_reason=None)

    def _step(self, entry: Entry) -> None:
        job = entry.job
        age = self.now - job.status_since
        if job.status is JobStatus.REMOVED:
            process = job.started_at is not None and not ended(job)
            unreachable = process and (self.silent or job.machine in self.dead)
            if not unreachable and age >= (self.life(job.worker).closing if process else 0.0):
                self._forget(job.id)
        elif job.status is JobStatus.COMPLETED and age >= ENDED_SECONDS:
            self._forget(job.id)
        elif job.status is not JobStatus.RUNNING and job.lease is not None and self.now > job.lease:
            if not job.spooling:  # periodic_remove does not see those
                self.remove(job.id)
        elif job.spooling and job.id in self.files and age >= 1:
            self._change(job.id, JobStatus.IDLE, stage_in_finish=self.now, hold_code=None, hold_reason=None)
        elif job.status is JobStatus.IDLE and entry.matches and not job.vacated and self.free():
            self._start(entry)
        elif job.status is JobStatus.RUNNING:
            life = self.life(job.worker)
            if life.exit_code is not None and age >= life.seconds:
                self._print(entry, life.prints)
                if len(life.prints) > LARGEST_OUTPUT:
                    said = "max total download bytes exceeded (max=1 MB)"
                    self._change(job.id, JobStatus.HELD, hold_code=33, hold_subcode=0, hold_reason=said)
                else:
                    self._change(job.id, JobStatus.COMPLETED, exit_code=life.exit_code)

    def _start(self, entry: Entry) -> None:
        job, first = entry.job, sum(map(int, entry.job.id.split(".")))
        names = [f"node{(first + number) % self.machines + 1}" for number in range(self.machines)]
        if self.attracts is not None:
            names.insert(0, self.attracts)
        machine = next((name for name in names if name not in entry.avoids), None)
        if machine is None:
            return
        self._change(
            job.id,
            JobStatus.RUNNING,
            shadow_starts=job.shadow_starts + 1,
            started_at=self.now,
            slot=self._slot(machine),
            machine=machine,
        )
        if entry.anchor in self.lost:
            self.hold(job.id, "Failed to open standard input: No such file or directory (errno 2)", 10)

    def _slot(self, machine: str) -> str:
        """The first one that is free."""
        jobs = (entry.job for entry in self.queue.values())
        used = {job.slot for job in jobs if job.status is JobStatus.RUNNING and job.machine == machine}
        return next(name for number in itertools.count(1) if (name := f"slot1_{number}") not in used)

    def _print(self, entry: Entry, text: str) -> None:
        """What it printed comes to the anchor's directory at the end, and no more than HTCondor may bring."""
        if entry.anchor in self.files:
            self.files[entry.anchor][worker_names.output(entry.job.worker)] = text[:LARGEST_OUTPUT]

    def free(self) -> bool:
        """Whether a slot has room."""
        return sum(entry.job.status is JobStatus.RUNNING for entry in self.queue.values()) < self.slots

    def _change(self, job: JobId, status: JobStatus, **facts: object) -> None:
        entry = self.queue[job]
        entry.job = replace(entry.job, status=status, status_since=self.now, **facts)  # type: ignore[arg-type]


class FakeCondor:
    """The port `Condor` on a `FakeSchedd`. `failing` makes every call fail; `losing` fails after the deed.

    `ahead`: so many seconds is the access point's clock ahead of this operator's.
    """

    def __init__(self, schedd: FakeSchedd, operator_id: str, identity: str = "dask@htcdask.test") -> None:
        self.schedd = schedd
        self.operator_id = operator_id
        self.identity = identity
        self.failing: CondorError | None = None
        self.losing: CondorError | None = None
        self.ahead = 0.0
        self._measured = 0.0
        self.calls: list[str] = []

    async def whoami(self) -> str:
        self._begin("whoami")
        return self.identity

    async def jobs(self, also: Collection[str] = ()) -> tuple[Job, ...]:
        self._begin("jobs")
        return tuple(self._seen(entry.job) for entry in self._of(self.identity, *also).values())

    async def jobs_of(self, pool: PoolUid, also: Collection[str] = ()) -> tuple[Job, ...]:
        self._begin("jobs_of")
        found = self._of(self.identity, *also).values()
        return tuple(self._seen(entry.job) for entry in found if entry.job.pool_uid == pool)

    async def submit_anchor(
        self, description: Mapping[str, str], bundle: bytes, identity: str | None = None
    ) -> JobId:
        self._begin("submit_anchor")
        descriptions.check(description, self.operator_id)
        parsed(description)
        ready = self._to_submit(description, identity, 1)
        job = self.schedd.add_anchor(self.operator_id, self.identity, ready, bundle.decode())
        self._end()
        return job

    async def submit_workers(
        self, description: Mapping[str, str], names: Sequence[WorkerName], identity: str | None = None
    ) -> tuple[JobId, ...]:
        self._begin("submit_workers")
        descriptions.check(description, self.operator_id)
        descriptions.check_names(names)
        parsed(description)
        ready = self._to_submit(description, identity, len(names))
        made = self.schedd.add(self.operator_id, self.identity, ready, names)
        self._end()
        return tuple(made)

    async def spool_workers(
        self,
        description: Mapping[str, str],
        names: Sequence[WorkerName],
        bundle: bytes,
        identity: str | None = None,
    ) -> tuple[JobId, ...]:
        self._begin("spool_workers")
        descriptions.check(description, self.operator_id)
        descriptions.check_names(names)
        parsed(description)
        ready = self._to_submit(description, identity, len(names))
        made = self.schedd.add_spooled(self.operator_id, self.identity, ready, names, bundle.decode())
        self._end()
        return tuple(made)

    async def hold(self, jobs: Sequence[JobId], reason: str) -> None:
        self._begin("hold")
        for job in self._ours().keys() & set(jobs):
            self.schedd.hold(job, reason)
        self._end()

    async def remove(self, jobs: Sequence[JobId], reason: str) -> None:
        self._begin("remove")
        for job in self._ours().keys() & set(jobs):
            self.schedd.remove(job)
        self._end()

    async def force_remove(self, jobs: Sequence[JobId], reason: str) -> None:
        self._begin("force_remove")
        for job in self._ours().keys() & set(jobs):
            self.schedd.force_remove(job)
        self._end()

    async def renew(self, until: float) -> None:
        self._begin("renew")
        for entry in self._ours().values():
            entry.job = replace(entry.job, lease=float(clocks.lease(until, self._measured)))
        self._end()

    async def logs(self, keeper: JobId, names: Sequence[WorkerName]) -> Mapping[WorkerName, str]:
        self._begin("logs")
        if keeper not in self._ours():
            return {}
        files = self.schedd.files.get(keeper, {})
        found = {name: files.get(worker_names.output(name), "") for name in names}
        return {name: text[-LARGEST_TAIL:] for name, text in found.items() if text}

    async def analyze(self, job: JobId) -> Analysis | None:
        self._begin("analyze")
        entry = self._ours().get(job)
        if entry is None or entry.job.status is not JobStatus.IDLE or entry.job.vacated:
            return None
        clause, room = Clause("false", met=0), self.schedd.free()
        if not entry.matches:
            return Analysis(self.schedd.slots, (clause,))
        fit = min(self.schedd.slots, 1)
        return Analysis(self.schedd.slots, fit=fit, looked_at=fit, take=fit, room=int(room))

    def _ours(self) -> dict[JobId, Entry]:
        return self._of(self.identity)

    def _of(self, *identities: str) -> dict[JobId, Entry]:
        return {
            job: entry
            for job, entry in self.schedd.queue.items()
            if entry.operator == self.operator_id and entry.owner in identities and not entry.hidden
        }

    def _seen(self, job: Job) -> Job:
        """The job with its times by the operator's clock."""
        return moved(job, -self._measured)

    def _to_submit(self, description: Mapping[str, str], identity: str | None, count: int) -> dict[str, str]:
        if identity not in (None, self.identity):
            raise CondorRefused(f"nothing was submitted: the jobs were planned for {identity}")
        if (limit := self.schedd.limit(self.identity, count)) is not None:
            told = "the schedd ap@condor takes no more jobs of the operator's account at a time"
            raise SubmitRefused(f"{told}: {limit}")
        if (why := self.schedd.rule(description)) is not None:
            raise RuleRefused(f"{why} [said by the schedd ap@condor]")
        return clocks.sent(description, self._measured)

    def _begin(self, call: str) -> None:
        self.calls.append(call)
        if self.failing is not None:
            raise self.failing
        ours = self.schedd.now - self.ahead
        self._measured = clocks.offset(self._measured, float(int(self.schedd.now)), ours, ours)

    def _end(self) -> None:
        if self.losing is not None:
            raise self.losing


def refused() -> CondorError:
    """What an expired token brings."""
    return CondorRefused("the schedd ap@condor does not accept the operator's token")


def _number(description: Mapping[str, str], attribute: str) -> int | None:
    text = description.get(f"My.{attribute}")
    return None if text is None else int(text)


def _time(description: Mapping[str, str], attribute: str) -> float | None:
    seconds = _number(description, attribute)
    return None if seconds is None else float(seconds)


def _string(description: Mapping[str, str], attribute: str) -> str:
    return description.get(f"My.{attribute}", "").strip('"')
