"""What workers print on a real HTCondor: hostile jobs, and what comes back of an anchor's directory.

The agent's side runs in a process of its own, as it does in the operator; here a program that shows every
file that arrived before it is deleted.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Collection
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from htcdask_api import Failure, PoolStatus
from htcdask_operator.condor import token
from htcdask_operator.condor.access_point import AccessPoint
from htcdask_operator.condor.client import CondorClient
from htcdask_operator.core import timestamps
from htcdask_operator.core.model import Job, JobId, JobStatus
from htcdask_operator.core.submit import descriptions, spooled
from htcdask_operator.core.workers import failures
from playground.condor.bare import BarePool
from tests.builders import make_cluster, make_policy, make_pool, make_template
from tests.contract.labs import IMAGE, RealLab

SECRET = "a secret key"
PAYLOAD = f"""# {SECRET}
forever() {{ while true; do printf '%100000s' x; done; }}
knock() {{
  read -r host port cookie < "${{_CONDOR_CHIRP_CONFIG:-$_CONDOR_SCRATCH_DIR/../user/.chirp.config}}" || return
  exec 4<> "/dev/tcp/$host/$port"
  printf 'cookie %s\\nset_job_attr_delayed ChirpNote 1\\n' "$cookie" >&4
  read -r known <&4 && read -r done <&4 && echo "$known $done"
}}
case $1 in
  w*) echo "words of $1" ;;
  around) forever > /proc/$PPID/fd/1 ;;
  flood) forever ;;
  sparse) rm -f "$_CONDOR_SCRATCH_DIR/_condor_stdout"
          head -c 3000000 /dev/zero > "$_CONDOR_SCRATCH_DIR/_condor_stdout" ;;
  missing) rm -f "$_CONDOR_SCRATCH_DIR/_condor_stdout" ;;
  beside) for n in 1 2 3; do printf '%1000000s' x > "$_CONDOR_SCRATCH_DIR/out.$n"; done ;;
  core) head -c 90000 /dev/zero > "$_CONDOR_SCRATCH_DIR/core" ;;
  folder_of_cores) mkdir "$_CONDOR_SCRATCH_DIR/core" && echo x > "$_CONDOR_SCRATCH_DIR/core/x" ;;
  link) rm "$_CONDOR_SCRATCH_DIR/_condor_stdout"; ln -s /etc/others "$_CONDOR_SCRATCH_DIR/_condor_stdout" ;;
  tree) rm "$_CONDOR_SCRATCH_DIR/_condor_stdout"; mkdir "$_CONDOR_SCRATCH_DIR/_condor_stdout" ;;
  d*) knock ;;
  look) ls -a "$_CONDOR_SCRATCH_DIR"; cat "$_CONDOR_SCRATCH_DIR"/* 2>/dev/null ;;
esac
exit 3
"""
RETRIEVE = """
import json, pathlib, shutil, sys
import htcondor2
from htcdask_operator.condor.agent import sandbox
from htcdask_operator.condor.errors import CondorError
from htcdask_operator.condor.agent.schedd import Schedd

collector, name, scratch, constraint, files, sabotage = sys.argv[1:]
arrived, rmtree = {}, shutil.rmtree

def show(folder):
    arrived.update({file.name: file.read_text() for file in pathlib.Path(folder).iterdir()})
    rmtree(folder)

def refuse(*_):
    raise htcondor2.HTCondorException("edit refused")

sandbox.shutil.rmtree = show
def ignore(schedd, jobs, attribute, value):
    return None if attribute == "SpooledOutputFiles" else edit(schedd, jobs, attribute, value)

edit = htcondor2.Schedd.edit
htcondor2.Schedd.edit = {"": edit, "refuse": refuse, "ignore": ignore}[sabotage]
try:
    answer = Schedd(collector, name, pathlib.Path(scratch), lambda: 0).retrieve(
        constraint, json.loads(files)
    )
except CondorError as error:
    answer = str(error)
print(json.dumps([answer, arrived]))
"""

_numbers = count(1)


class Output:
    """One pool whose workers print."""

    def __init__(self, lab: RealLab, folder: Path) -> None:
        self.lab, self._folder = lab, folder
        self.operator_id = f"output-{next(_numbers)}"
        self.condor = lab.operator(self.operator_id)
        self._policy = make_policy(operator_id=self.operator_id)

    async def anchor(self) -> Job:
        description = descriptions.anchor(
            make_pool(), make_cluster(), make_template(), "hash", self._policy, time.time()
        )
        job = await self.condor.submit_anchor(description, PAYLOAD.encode())
        (staged,) = await self.lab.until(self.condor, lambda jobs: jobs[0].stage_in_finish)
        await self.condor.hold([job], "kept")
        return staged

    async def workers(self, anchor: Job, *names: str, without: Collection[str] = ()) -> tuple[JobId, ...]:
        template = make_template(container_image=IMAGE, memory="100Mi")
        description = descriptions.workers(
            make_pool(), make_cluster(), template, "hash", anchor.iwd or "", self._policy, time.time()
        )
        said = {key: value for key, value in description.items() if key not in without}
        return await self.condor.submit_workers(said, names)

    async def with_files(self, *names: str) -> dict[str, Job]:
        """Workers that bring their files, each by a submit of its own, once they have ended."""
        template = make_template(container_image=IMAGE, memory="100Mi")
        description = spooled.described(
            descriptions.workers(make_pool(), make_cluster(), template, "hash", "", self._policy, time.time())
        )
        for name in names:
            await self.condor.spool_workers(description, [name], PAYLOAD.encode())
        over = (JobStatus.COMPLETED, JobStatus.HELD)
        jobs = await self.lab.until(
            self.condor, lambda jobs: all(job.status in over and not job.spooling for job in jobs)
        )
        return {job.worker: job for job in jobs}

    async def ended(self, anchor: Job, *names: str, without: Collection[str] = ()) -> dict[str, Job]:
        made = await self.workers(anchor, *names, without=without)
        over = (JobStatus.COMPLETED, JobStatus.HELD)
        jobs = await self.lab.until(
            self.condor, lambda jobs: all(job.status in over for job in jobs if job.id in made)
        )
        return {job.worker: job for job in jobs}

    def retrieve(self, anchor: Job, files: dict[str, str], sabotage: str = "") -> tuple[Any, dict[str, str]]:
        """The agent's answer, and the files that arrived for it."""
        pool = self.lab.pool
        agent = CondorClient(AccessPoint(self.operator_id, pool.address, pool.schedd, self._folder / "token"))
        try:
            token.write(agent.folder / "tokens", (self._folder / "token").read_text().strip())
            constraint = f"ClusterId == {anchor.id.partition('.')[0]}"
            where = [pool.address, pool.schedd, str(self._folder), constraint, json.dumps(files), sabotage]
            done = subprocess.run(
                [sys.executable, "-c", RETRIEVE, *where],
                check=True,
                capture_output=True,
                text=True,
                env=agent._environment(),
                timeout=60,
            )
        finally:
            agent._private.close()
        answer, arrived = json.loads(done.stdout)
        return answer, arrived


@pytest.fixture
async def output(bare_pool: BarePool, tmp_path: Path) -> AsyncIterator[Output]:
    lab = RealLab(bare_pool, tmp_path)
    yield Output(lab, tmp_path)
    await lab.close()


async def test_only_the_files_that_are_named_arrive(output: Output) -> None:
    anchor = await output.anchor()
    await output.ended(anchor, "w1", "w2", "w3")
    answer, arrived = output.retrieve(anchor, {"a": "out.w1", "b": "out.nope", "c": "out.w3"})
    assert answer == {"a": "words of w1\n", "c": "words of w3\n"}
    assert sorted(arrived) == ["out.w1", "out.w3"]
    assert output.lab.attribute(anchor.id, "SpooledOutputFiles") == "", "nothing is sent to the next who asks"
    assert output.retrieve(anchor, {}) == ({}, {})


async def test_a_worker_with_its_own_files_sends_what_it_printed_and_never_them(output: Output) -> None:
    jobs = await output.with_files("w1", "w2", "sparse", "core", "missing")
    held = {name: job.hold_code for name, job in jobs.items()}
    assert held["w1"] is held["w2"] is None and held["sparse"] == 33
    for name in ("w1", "w2"):
        answer, arrived = output.retrieve(jobs[name], {"a": f"out.{name}"})
        assert (answer, sorted(arrived)) == ({"a": f"words of {name}\n"}, [f"out.{name}"])
    for name, job in jobs.items():
        answer, arrived = output.retrieve(job, {})
        assert SECRET not in "".join(arrived.values()), name
        there = output.lab.pool.path(output.lab.attribute(job.id, "Iwd"))
        assert sum(file.stat().st_size for file in there.iterdir()) < 1.2 * 2**20, name
    await output.condor.remove([job.id for job in jobs.values()], "the end of the test")


async def test_a_worker_is_given_no_key_to_its_own_job_s_ad(output: Output) -> None:
    anchor = await output.anchor()
    without = ("My.WantDelayedUpdates", "My.WantIOProxy", "My.WantRemoteUpdates")
    await output.ended(anchor, "d1")
    asked = await output.ended(anchor, "d2", without=without)
    answer, _ = output.retrieve(anchor, {"ours": "out.d1", "without": "out.d2"})
    assert "No such file" in answer["ours"]
    assert answer["without"] == "0 0\n", "what HTCondor lets any job do by default"
    assert output.lab.attribute(asked["d2"].id, "ChirpNote") == "1"


async def test_nothing_arrives_when_the_files_cannot_be_named(output: Output) -> None:
    anchor = await output.anchor()
    await output.ended(anchor, "w1")
    answer, arrived = output.retrieve(anchor, {"a": "out.w1"}, sabotage="refuse")
    assert "edit refused" in answer and arrived == {}


async def test_an_anchor_of_an_earlier_version_sends_no_more_than_is_named(output: Output) -> None:
    anchor = await output.anchor()
    await output.ended(anchor, "w1")
    output.lab.pool.run("condor_qedit", anchor.id, "SpooledOutputFiles", "undefined")
    assert output.retrieve(anchor, {"a": "out.w1"}) == (
        {"a": "words of w1\n"},
        {"out.w1": "words of w1\n"},
    )


async def test_what_was_not_asked_for_is_not_kept(output: Output, tmp_path: Path) -> None:
    anchor = await output.anchor()
    await output.ended(anchor, "w1", "w2")
    sent = '"out.w1,out.w2,bundle.sh"'
    output.lab.pool.run("condor_qedit", anchor.id, "SpooledOutputFiles", sent)
    answer, arrived = output.retrieve(anchor, {"a": "out.w1"}, sabotage="ignore")
    assert sorted(arrived) == ["bundle.sh", "out.w1", "out.w2"], "the access point sent it"
    assert answer == {"a": "words of w1\n"}
    assert files_with(SECRET, tmp_path) == []


async def test_a_file_that_is_too_large_is_not_received_and_the_others_are(output: Output) -> None:
    anchor = await output.anchor()
    await output.ended(anchor, "w1", "w2")
    output.lab.pool.run("truncate", "--size=5M", f"{anchor.iwd}/out.w1")
    answer, arrived = output.retrieve(anchor, {"a": "out.w1", "b": "out.w2"})
    assert "out.w1" not in arrived and sum(map(len, arrived.values())) < 2**20
    assert answer in ({"b": "words of w2\n"}, {})


async def test_hostile_workers_cannot_fill_the_access_point(output: Output) -> None:
    anchor = await output.anchor()
    names = ("sparse", "missing", "beside", "look")
    jobs = await output.ended(anchor, *names)
    assert {name: jobs[name].hold_code for name in names} == {
        "sparse": 33,
        "missing": 12,
        "beside": None,
        "look": None,
    }
    running = await output.workers(anchor, "flood", "around")
    await output.lab.until(
        output.condor, lambda jobs: all(job.started_at for job in jobs if job.id in running)
    )
    await asyncio.sleep(2)  # they print meanwhile
    printed = output.lab.printed(anchor)
    assert "out.ood" not in printed and "out.und" not in printed, "nothing arrives while it runs"
    assert all(size <= 2**20 for size in printed.values()) and sum(printed.values()) < 1.1 * 2**20
    assert "out.1" not in printed
    await output.condor.remove(running, "scaled down")
    await output.lab.until(output.condor, lambda jobs: not {job.id for job in jobs} & set(running))
    assert output.lab.printed(anchor) == printed


async def test_nothing_comes_back_as_a_core_file(output: Output) -> None:
    anchor = await output.anchor()
    jobs = await output.ended(anchor, "core", "folder_of_cores", "w1")
    assert {name: job.hold_code for name, job in jobs.items() if name} == {
        "core": 12,
        "folder_of_cores": 12,
        "w1": None,
    }
    there = output.lab.pool.run("ls", anchor.iwd or "").split()
    assert not [name for name in there if name.startswith("core")]
    assert output.lab.pool.run("bash", "-c", "ls -d /core* 2> /dev/null || true") == ""


async def test_a_folder_for_an_output_hides_nobody_else_s(output: Output) -> None:
    anchor = await output.anchor()
    await output.ended(anchor, "tree", "w1")
    assert await output.condor.logs(anchor.id, ["tree", "w1"]) == {"w1": "words of w1\n"}


async def test_a_link_in_the_place_of_the_output_shows_nothing(output: Output) -> None:
    """HTCondor follows it on the execute node; so the operator shows only what bears the worker's name."""
    output.lab.pool.run("bash", "-c", "echo of somebody else > /etc/others")
    anchor = await output.anchor()
    await output.ended(anchor, "link")
    found = await output.condor.logs(anchor.id, ["link"])
    assert found == {"link": "of somebody else\n"}
    failure = Failure(time=timestamps.written(time.time()), worker="link", reason="WorkerFailed")
    before = failures.remembered(PoolStatus(recent_failures=(failure,)))
    told, _ = failures.record(before, (), (), found, time.time())
    assert [failure.log_tail for failure in told.recent] == [""]


async def test_the_bundle_is_on_no_disk_of_the_execute_node(output: Output) -> None:
    anchor = await output.anchor()
    await output.ended(anchor, "look")
    seen = await output.condor.logs(anchor.id, ["look"])
    assert ".job.ad" in seen["look"] and SECRET not in seen["look"]
    assert "bundle.sh" not in seen["look"].splitlines()


def files_with(text: str, folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text in path.read_text()]
