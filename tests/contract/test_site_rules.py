"""Access points with rules, on a real schedd that has them: what gets through, and what a pool says else.

By the operator's whole loop (`shell`: Kubernetes and the scheduler are fakes). One bare pool has all the
rules; each looks at one operator's jobs alone.
"""

from __future__ import annotations

import asyncio
import json
import re
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from htcdask_api import Template
from htcdask_operator import settings
from htcdask_operator.core.model import JobStatus, Role
from htcdask_operator.core.policy import PortRange, Profile
from htcdask_operator.core.submit import descriptions, spooled
from htcdask_operator.core.workers.states import SPOOL_SECONDS
from playground.build import rootfs_condor
from playground.condor.bare import BarePool
from tests.builders import make_cluster, make_policy, make_pool, make_template
from tests.contract.container import make_image
from tests.contract.labs import IMAGE, RealLab
from tests.contract.shell import Shell, idle, is_held
from tests.contract.test_unknown_outcomes import kill

# A rule that is written by people: quotation marks, a language, and words that mean something elsewhere.
MEMORY = 'Ask for 1000 MB at the least, not 500: "smaller" is DENIED, AUTHENTICATE or not (SECMAN:2007)'
LONG = "No. " * 1000
RULES = r"""
SUBMIT_REQUIREMENT_NAMES = Memory Project Group Images Workers Long
SUBMIT_REQUIREMENT_Memory = HTCDaskOperator =!= "memory" || RequestMemory >= 1000
SUBMIT_REQUIREMENT_Memory_REASON = strcat("Ask for 1000 MB at the least, not ", RequestMemory, \
  ": \"smaller\" is DENIED, AUTHENTICATE or not (SECMAN:2007)")
SUBMIT_REQUIREMENT_Project = HTCDaskOperator =!= "project" || ProjectName =!= undefined
SUBMIT_REQUIREMENT_Project_REASON = "Ein Projekt f\374r jeden Job:\n+ProjectName \033[2J."
SUBMIT_REQUIREMENT_Group = HTCDaskOperator =!= "group" || \
  (AccountingGroup =!= undefined && substr(AccountingGroup, 0, 14) == "group_physics.")
SUBMIT_REQUIREMENT_Images = HTCDaskOperator =!= "images" || \
  (WantContainer =?= true && substr(ContainerImage, 0, 12) == "/cvmfs/site/")
SUBMIT_REQUIREMENT_Images_REASON = "Containers only, and of /cvmfs/site only"
SUBMIT_REQUIREMENT_Workers = HTCDaskOperator =!= "workers" || HTCDaskRole =!= "worker"
SUBMIT_REQUIREMENT_Workers_REASON = "Not on Fridays"
SUBMIT_REQUIREMENT_NAMES = $(SUBMIT_REQUIREMENT_NAMES) Anchors
SUBMIT_REQUIREMENT_Anchors = substr(HTCDaskOperator, 0, 8) != "anchors-" || HTCDaskRole =!= "anchor"
SUBMIT_REQUIREMENT_Anchors_REASON = "No jobs that never run"
SUBMIT_REQUIREMENT_Long = HTCDaskOperator =!= "long"
SUBMIT_REQUIREMENT_Long_REASON = "{long}"
SUBMIT_REQUIREMENT_NAMES = $(SUBMIT_REQUIREMENT_NAMES) Flavour Sites Walltime Advice
SUBMIT_REQUIREMENT_Advice = HTCDaskOperator =!= "warned"
SUBMIT_REQUIREMENT_Advice_REASON = "Bitte nicht für immer, DENIED soon"
SUBMIT_REQUIREMENT_Advice_IS_WARNING = true
SUBMIT_REQUIREMENT_Flavour = HTCDaskOperator =!= "flavour" || \
  (member(JobFlavour, {"longlunch", "workday"}) =?= true && substr(AccountingGroup, 0, 8) == "group_u_")
SUBMIT_REQUIREMENT_Sites = HTCDaskOperator =!= "sites" || (stringListSize(DESIRED_Sites) > 0 && \
  stringListMember(REQUIRED_OS, "rhel8,rhel9") && RequestMemory <= 2500)
SUBMIT_REQUIREMENT_Walltime = HTCDaskOperator =!= "walltime" || \
  (substr(MyProject, 0, 3) == "af-" && RequestRuntime >= 60 && RequestRuntime <= 604800)

SYSTEM_PERIODIC_HOLD = HTCDaskOperator =?= "holds" && HTCDaskRole == "worker" && JobStatus == 1
SYSTEM_PERIODIC_HOLD_REASON = "Jobs of this size wait elsewhere"
SYSTEM_PERIODIC_REMOVE = \
  (HTCDaskOperator =?= "removes" && HTCDaskRole == "worker" && time() - QDate > 2) || \
  (HTCDaskOperator =?= "purges" && JobStatus == 5 && time() - EnteredCurrentStatus > 2)
SYSTEM_PERIODIC_REMOVE_REASON = "This queue is swept"

JOB_TRANSFORM_NAMES = Defaults
JOB_TRANSFORM_Defaults @=end
  REQUIREMENTS HTCDaskOperator =?= "transforms"
  DEFAULT ProjectName "everybody"
  EVALSET RequestMemory RequestMemory < 4000 ? 4000 : RequestMemory
  SET Requirements ($(MY.Requirements)) && TARGET.SiteIsOpen =!= false
@end

MAX_JOBS_PER_SUBMISSION = 20
MAX_JOBS_PER_OWNER = 30
""".replace("{long}", LONG)

DOCUMENT = Path(__file__).parents[2] / "docs/sites.md"
SITE = "Small Worker v1.2"  # the profile that gives what the rule asks for
ANSWERS: dict[str, Profile] = {
    "memory": Profile(SITE, Template(memory="1000Mi")),
    "project": Profile(SITE, Template(), attributes={"ProjectName": "atlas"}),
    "group": Profile(SITE, Template(), accounting_group="group_physics.dask"),
    "images": Profile(SITE, Template(container_image="/cvmfs/site/image")),
}
REFUSALS = {
    "memory": MEMORY,
    "project": "Ein Projekt f\N{REPLACEMENT CHARACTER}r jeden Job: +ProjectName \N{SYMBOL FOR ESCAPE}[2J.",
    "group": "Submit requirement Group not met.",
    "images": "Containers only, and of /cvmfs/site only",
    "workers": "Not on Fridays",
    "long": LONG[:1500] + "...",
}
SAID = " [said by the schedd ap@condor]. Refused was "


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BarePool]:
    """An access point with all of these rules."""
    folder = tmp_path_factory.mktemp("strict")
    make_image(rootfs_condor.unpacked(), folder / "cvmfs/img")
    with BarePool(folder / "pool", folder / "cvmfs", RULES) as pool:
        yield pool


Made = Callable[..., Shell]


@pytest.fixture
async def made(strict: BarePool, tmp_path: Path) -> AsyncIterator[Made]:
    """Make a pool that meets one operator's rules."""
    shells: list[Shell] = []

    def make(operator_id: str, **template: Any) -> Shell:
        shells.append(Shell(strict, tmp_path, operator_id, **template))
        return shells[-1]

    yield make
    for shell in shells:
        await shell.close()


@pytest.mark.parametrize("rule", ANSWERS)
async def test_a_profile_that_gives_what_a_rule_asks_for_lets_anchor_and_workers_pass(
    made: Made, rule: str
) -> None:
    image = {"containerImage": None} if rule == "images" else {}
    shell = made(rule, profile=SITE, **image)
    operator = shell.operator(profiles={SITE: ANSWERS[rule]})
    await operator.until(is_held)
    shell.want(3)
    await operator.until(lambda jobs: len(idle(jobs)) == 3)
    assert operator.asked["spool"] == operator.asked["submit"] == 1
    assert {job.profile for job in await operator.agent.jobs()} == {SITE}
    await ended(shell)


@pytest.mark.parametrize("rule", REFUSALS)
async def test_a_refusal_is_quoted_whole_and_first_and_is_not_repeated_at_once(made: Made, rule: str) -> None:
    shell = made(rule, memory="500Mi")
    operator = shell.operator()
    shell.want(3)
    if rule == "workers":
        await operator.until(is_held)
    await operator.go_on(2)
    reason, message = shell.ready
    assert reason == "SubmitRefused"
    assert message.startswith(REFUSALS[rule] + SAID)
    assert message.removeprefix(REFUSALS[rule] + SAID).startswith("a worker. Next try at 20")
    assert operator.asked["spool"] == 1
    submits = {"submit": operator.asked["submit"], "spool_each": operator.asked["spool_each"]}
    its = submits.pop("submit" if rule == "workers" else "spool_each")  # its anchor was refused
    assert its <= 2 and not any(submits.values()), "of three, and of one"
    jobs = await operator.agent.jobs()
    assert [job.role for job in jobs] == ([Role.ANCHOR] if rule == "workers" else [])
    await ended(shell)


async def test_where_the_anchor_alone_is_refused_each_worker_brings_its_files(made: Made) -> None:
    shell = made("anchors-idle")
    first = shell.operator()
    shell.want(4)
    await first.until(lambda jobs: len(idle(jobs)) == 4)
    await first.go_on(2)
    assert first.asked["spool"] == first.asked["spool_each"] == 1 and not first.asked["submit"]
    assert shell.ready[0] == "WaitingForWorkers"
    reason, message = shell.said("CondorReachable")
    assert reason == "FilesSpooledWithWorkers"
    assert message.endswith(" is refused. No jobs that never run [said by the schedd ap@condor]")
    shell.want(2)
    await first.until(lambda jobs: len(idle(jobs)) == len(jobs) == 2)
    again = shell.operator(worker_ports=PortRange(20_000, 20_099))  # another template, and it knows nothing
    before = {job.id for job in await again.agent.jobs()}
    await again.until(lambda jobs: len(idle(jobs)) == len(jobs) == 2 and not before & {j.id for j in jobs})
    await again.go_on(2)
    assert again.asked["spool"] == again.asked["spool_each"] == 1 and not again.asked["submit"]
    events = [reason for _, _, reason, _ in shell.kube.events]
    assert events.count("FilesSpooledWithWorkers") == 1, "it is said once"
    await ended(shell)


async def test_a_worker_with_its_files_runs_and_what_it_said_is_told(made: Made) -> None:
    """An image in which there is nothing but bash: its wrapper is all that can speak."""
    shell = made("anchors-run", cores=1, memory="100Mi", containerImage=IMAGE)
    operator = shell.operator()
    shell.want(3)
    await operator.until(lambda _: shell.told_of_failure())
    (failure,) = [its for its in shell.status["recentFailures"] if its["reason"] == "WorkerFailed"]
    assert "It said: there is no dask in this image" in failure["message"]
    assert not operator.asked["submit"]
    await operator.until(lambda jobs: not jobs, 20)
    assert shell.status["failed"] == 3, "each is counted once"
    await ended(shell)


async def test_the_key_lies_on_the_access_point_where_its_account_alone_reads_it(made: Made) -> None:
    shell = made("anchors-key")
    operator = shell.operator()
    shell.want(1)
    await operator.until(lambda jobs: len(idle(jobs)) == 1)
    (job,) = await operator.agent.jobs()
    iwd, leave = shell.pool.run("condor_q", "-allusers", job.id, "-af:rt", "Iwd", "LeaveJobInQueue").split(
        "\t"
    )
    assert "".join(leave.split()) == "JobStatus==4&&time()-EnteredCurrentStatus<300", "ours, not ten days"
    folder = shell.pool.path(iwd.strip('"'))
    assert [file.name for file in folder.iterdir()] == ["bundle.sh"]
    assert "KEY" in (folder / "bundle.sh").read_text()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "bundle.sh")]
    assert modes == [0o700, 0o600]
    assert "KEY" not in shell.pool.run("condor_q", "-allusers", job.id, "-long")
    assert "KEY" not in "".join(
        file.read_text()
        for file in operator.agent.folder.rglob("*")
        if file.is_file() and file.name != "token"
    )
    await ended(shell)


@pytest.mark.parametrize("milliseconds", [0, 10, 30, 60, 150])
async def test_an_agent_killed_while_it_sends_files_leaves_no_worker_twice(
    made: Made, milliseconds: int
) -> None:
    """Some jobs may be there whose files never come: what becomes of them, the next test shows."""
    shell = made("anchors-half")
    operator = shell.operator(backoff_first_seconds=0.5)
    await operator.until(lambda _: operator.asked["spool"])
    shell.want(10)  # with as many that leave, they are fewer than one owner may have
    asking = operator.agent._process.ask

    async def ask(method: str, *arguments: object) -> object:
        if method == "spool_each":
            asyncio.get_running_loop().call_later(milliseconds / 1000, kill, operator.agent)
        return await asking(method, *arguments)

    operator.agent._process.ask = ask  # type: ignore[method-assign]
    await operator.round()
    another = shell.operator(backoff_first_seconds=0.5)
    for _ in range(3):
        await another.round()
    jobs = await another.agent.jobs()
    assert len({job.worker for job in jobs}) == len(jobs)
    assert sum(job.status is not JobStatus.REMOVED for job in jobs) <= 10
    await ended(shell)


async def test_a_worker_whose_files_will_never_come_counts_and_is_replaced_after_two_minutes(
    made: Made, strict: BarePool, tmp_path: Path
) -> None:
    shell = made("anchors-never")
    pool, template = make_pool(shell.uid), make_template(container_image=IMAGE)
    policy = make_policy(operator_id="anchors-never")
    described = spooled.described(
        descriptions.workers(pool, make_cluster(), template, "hash", "", policy, time.time())
    )
    left = {
        key: text.replace("$(wname)", "x1").replace("$(wout)", "out.x1") for key, text in described.items()
    }
    lab = RealLab(strict, tmp_path)
    await asyncio.to_thread(lab.unspooled, left, "anchors-never")
    shell.want(1)
    operator = shell.operator(backoff_first_seconds=0.5)
    await operator.go_on(3)
    (lost,) = await operator.agent.jobs()
    assert lost.spooling and lost.stage_in_finish is None and shell.status["submitting"] == 1
    assert not operator.asked["spool_each"], "its submitter may be about to send them"
    shell.late = SPOOL_SECONDS + 1
    await operator.until(lambda jobs: lost.id not in {job.id for job in jobs})
    shell.late = 0.0
    await operator.until(lambda jobs: len(idle(jobs)) == len(jobs) == 1)
    assert shell.status["recentFailures"][0]["reason"] == "NeverSpooled"
    await lab.close()
    await ended(shell)


async def test_a_rule_that_only_warns_stops_nobody(made: Made) -> None:
    shell = made("warned")
    operator = shell.operator()
    await operator.until(is_held)
    shell.want(2)
    await operator.until(lambda jobs: len(idle(jobs)) == 2)
    await operator.go_on(1)
    assert operator.asked["spool"] == operator.asked["submit"] == 1
    await ended(shell)


SUBMIT_COMMANDS = {"request_cpus": "RequestCpus", "request_memory": "RequestMemory"}


def documented(number: int) -> tuple[dict[str, str], str, dict[str, Profile]]:
    """The attributes of a submit file of docs/sites.md, and the name of the profile that stands for it."""
    text = DOCUMENT.read_text()
    submit_file = re.findall("```text\n(.*?)```", text, re.DOTALL)[number]
    lines = [line.partition(" = ") for line in submit_file.splitlines()]
    wanted = {SUBMIT_COMMANDS.get(name, name.removeprefix("+")): value for name, _, value in lines}
    site = yaml.safe_load(re.findall("```yaml\n(.*?)```", text, re.DOTALL)[number])["settings"]
    minimal = {
        "operatorId": "htcdask",
        "gatewayNamespaces": ["gateway"],
        "accessPoint": {"collector": "c:9618", "schedd": "ap"},
        "tokenFile": "/token",
        "schedulerAddress": "g:443",
        "leader": {"namespace": "htcdask", "name": "htcdask"},
    }
    profiles = settings.parse(yaml.safe_dump({**minimal, **site})).policy.profiles
    (name,) = profiles
    return wanted, name, dict(profiles)


@pytest.mark.parametrize(("number", "rule"), [(0, "flavour"), (1, "sites"), (2, "walltime")])
async def test_a_documented_profile_is_what_its_submit_file_was(made: Made, number: int, rule: str) -> None:
    wanted, name, profiles = documented(number)
    plain = made(rule)
    plain.want(1)
    await plain.operator(profiles=profiles).go_on(1)
    assert plain.ready[0] == "SubmitRefused", "the site does demand it"
    await ended(plain)
    shell = made(rule, cores=None, profile=name, requirements="false")
    operator = shell.operator(profiles=profiles)
    await operator.until(is_held)
    shell.want(2)
    await operator.until(lambda jobs: len(jobs) == 3)
    seen = shell.pool.run("condor_q", "-allusers", "-constraint", f'HTCDaskOperator == "{rule}"', "-json")
    for ad in json.loads(seen):
        found = {attribute: ad[attribute] for attribute in wanted}
        if "AccountingGroup" in found:
            found["AccountingGroup"] = found["AccountingGroup"].removesuffix(".alice")
        assert {attribute: json.dumps(value) for attribute, value in found.items()} == wanted
    await ended(shell)


@pytest.mark.parametrize(("number", "rule"), [(0, "flavour"), (1, "sites"), (2, "walltime")])
async def test_a_worker_of_a_documented_profile_runs(made: Made, number: int, rule: str) -> None:
    _, name, profiles = documented(number)
    shell = made(rule, cores=None, profile=name, containerImage=IMAGE)
    operator = shell.operator(b"exit 3\n", profiles=profiles)
    shell.want(1)
    await operator.until(lambda _: shell.status.get("recentFailures"))
    assert "ended with exit code 3" in shell.status["recentFailures"][0]["message"]
    await ended(shell)


async def test_workers_that_the_site_holds_are_not_replaced_for_ever(made: Made) -> None:
    shell = made("holds")
    operator = shell.operator(backoff_first_seconds=0.5)
    await operator.until(is_held)
    shell.want(5)
    await operator.until(lambda _: shell.ready[0] == "HeldBySite")
    await operator.go_on(4)
    reason, message = shell.ready
    assert reason == "HeldBySite" and "(code 26): Jobs of this size wait elsewhere. Next try" in message
    assert operator.asked["submit"] == 1
    assert is_held(await operator.agent.jobs()), "and there is nothing but the anchor"
    assert shell.status["failed"] == 5
    await ended(shell)


async def test_workers_that_the_site_removes_are_not_replaced_for_ever(made: Made) -> None:
    shell = made("removes")
    operator = shell.operator(backoff_first_seconds=0.5)
    await operator.until(is_held)
    shell.want(5)
    await operator.until(lambda _: shell.ready[0] == "RemovedByOthers", 80)
    submits = operator.asked["submit"]
    assert submits <= 5, "three events are enough"
    await operator.go_on(6)
    reason, message = shell.ready
    assert reason == "RemovedByOthers" and "condor_history" in message
    assert operator.asked["submit"] == submits
    assert is_held(await operator.agent.jobs()), "and there is nothing but the anchor"
    assert 5 < shell.status["failed"] < 5 + submits
    await ended(shell)


async def test_an_anchor_that_the_site_removes_since_it_is_held_is_replaced_but_not_for_ever(
    made: Made,
) -> None:
    shell = made("purges")
    operator = shell.operator(backoff_first_seconds=0.5)
    shell.want(5)
    await operator.until(lambda _: shell.ready[0] == "AnchorRemoved")
    await operator.go_on(6)
    reason, message = shell.ready
    assert reason == "AnchorRemoved" and "condor_history" in message
    assert operator.asked["spool"] == 3
    assert not await operator.agent.jobs(), "who waited for the files that are gone would only fail"
    assert operator.asked["submit"] <= 3, "those whose files were gone were replaced"
    await ended(shell)


async def test_a_site_s_transform_changes_jobs_and_limits_count_what_they_request_then(made: Made) -> None:
    """Room for three workers and most of a fourth, as their template has it."""
    shell = made("transforms", memory="2Gi")
    operator = shell.operator(max_memory_per_user=15_000 * 2**20)
    await operator.until(is_held)
    shell.want(5)
    await operator.until(lambda jobs: len(idle(jobs)) == 3)
    await operator.go_on(6)
    jobs = await operator.agent.jobs()
    assert [job.request_memory_mib for job in jobs] == [4000] * 4
    assert operator.asked["submit"] == 1 and operator.asked["act"] == 1, "nobody comes and goes for ever"
    ours = ("-constraint", 'HTCDaskOperator == "transforms"')
    seen = shell.pool.run("condor_q", "-allusers", *ours, "-af:r", "ProjectName", "Requirements").splitlines()
    assert len(seen) == 4 and all(line.startswith('"everybody" ') for line in seen)
    assert all(line.endswith("TARGET.SiteIsOpen =!= false") for line in seen), seen
    assert "memory" in shell.status["explanation"][0]["message"]
    await ended(shell)


async def test_as_many_workers_come_as_the_access_point_takes_of_one_owner(made: Made) -> None:
    shell = made("owner")
    operator = shell.operator()
    await operator.until(is_held)
    shell.want(40)
    await operator.until(lambda _: shell.ready[0] == "SubmitRefused")
    assert "MAX_JOBS_PER_OWNER. Refused was a worker" in shell.ready[1]
    asked = operator.asked["submit"]
    assert asked >= 3, "at most 20 come in one"
    await operator.go_on(4)
    assert len(idle(await operator.agent.jobs())) == 29, "the anchor is a job of this owner, too"
    assert operator.asked["submit"] == asked
    await ended(shell)


async def ended(shell: Shell) -> None:
    """Delete the pool and see that nothing is left of it, by an operator that remembers nothing."""
    shell.kube.delete_pool("gateway", "default-c1")
    await shell.operator().until(lambda jobs: not jobs and not shell.kube.pool_bodies)
