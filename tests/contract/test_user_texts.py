"""Texts of users on a real access point: they arrive as they were written, hold, and change nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from htcdask_api import Template, names
from htcdask_operator.condor.port import Condor
from htcdask_operator.core.model import JobStatus
from htcdask_operator.core.policy import ClassAdExpression, Profile
from htcdask_operator.core.submit import descriptions
from playground.condor.bare import BarePool
from tests.builders import make_cluster, make_policy, make_pool, make_template
from tests.contract.labs import IMAGE, PAYLOAD, RealLab

OPERATOR = "texts"
EXPRESSIONS = {  # and whether the bare pool's slot meets it
    'member(TARGET.Machine, {"a.example","b.example"})': False,
    '!member(TARGET.Machine, {"a.example","b.example"})': True,
    "[a = 1; b = {2, 3}].b[0] == 2": True,
    r'regexp("^[a-z]\w*", TARGET.Machine)': True,
    r'regexp("^node\\d+$", TARGET.Machine)': False,
    "TARGET.'Cpus' > 0": True,
    'strcat("$(Name)", "$ENV(HOME)", "$F(x)") == "$(Name)$ENV(HOME)$F(x)"': True,
    'strcat("$(wname)", "a$b", "$ENV( HOME )", "$(DOLLAR:1)") != "$(DOLLARDOLLAR)"': True,
    'size("ü\N{GRINNING FACE}") > 1 && "# no comment" != "@=end"': True,
    '"a\\"b" != "c" ?: false': True,
    'Arch == "ARM"': False,
    "undefined": False,
}
USERS = [
    "DOMAIN\\alice",
    "ada\u00a0lovelace",
    "a$$b",
    'a"b',
    "a.b@c d",
    "ü\N{GRINNING FACE}",
    "x" * 255,
    "$(DOLLAR)",
]


@pytest.fixture
async def lab(bare_pool: BarePool, tmp_path: Path) -> AsyncIterator[RealLab]:
    made = RealLab(bare_pool, tmp_path)
    yield made
    condor = made.operator(OPERATOR)
    await condor.remove([job.id for job in await condor.jobs()], "the end of the test")
    await made.until(condor, lambda jobs: not jobs)
    await made.close()


async def submitted(
    lab: RealLab,
    condor: Condor,
    name: str,
    attributes: Mapping[str, object] = MappingProxyType({}),
    **fields: str | None,
) -> None:
    """One worker of one pool of one user, against the anchor of all."""
    username = fields.pop("username", None) or "alice"
    site = Profile(
        "strict",
        Template(),
        fields.pop("profile_requirements", None),
        accounting_group="group_dask",
        attributes=attributes,
    )
    policy = make_policy(operator_id=OPERATOR, profiles={"strict": site})
    pool, cluster = make_pool(f"pool-{name}"), make_cluster(username=username)
    iwd = next(job.iwd for job in await condor.jobs() if job.iwd)
    template = make_template(container_image=IMAGE, memory="100Mi", disk="64Mi", profile="strict", **fields)
    made = descriptions.workers(pool, cluster, template, "hash", iwd, policy, time.time())
    await condor.submit_workers(made, [name])


async def anchored(lab: RealLab) -> Condor:
    condor = lab.operator(OPERATOR)
    policy = make_policy(operator_id=OPERATOR)
    made = descriptions.anchor(make_pool(), make_cluster(), make_template(), "hash", policy, time.time())
    anchor = await condor.submit_anchor(made, PAYLOAD)
    await lab.until(condor, lambda jobs: jobs[0].stage_in_finish)
    await condor.hold([anchor], "keeps the workers' files")
    return condor


async def test_expressions_hold_as_in_a_submit_file_and_the_profile_s_hold_too(lab: RealLab) -> None:
    condor = await anchored(lab)
    for number, text in enumerate(EXPRESSIONS):
        await submitted(lab, condor, f"w{number}", requirements=text)
        await submitted(lab, condor, f"n{number}", requirements=text, profile_requirements='Arch == "ARM"')
    # The two differ in nothing but the attribute: HTCondor must not take one for the other when it matches.
    meets = {f"w{number}": EXPRESSIONS[text] for number, text in enumerate(EXPRESSIONS)}
    expected = {name for name, meet in meets.items() if meet}

    def running(status: JobStatus = JobStatus.RUNNING) -> set[str]:
        return {job.worker for job in seen if job.status is status}

    seen = await lab.until(
        condor, lambda jobs: expected <= {job.worker for job in jobs if job.status is JobStatus.RUNNING}
    )
    assert running() == expected
    assert running(JobStatus.IDLE) == {job.worker for job in seen if job.worker} - expected
    query = ("condor_q", "-allusers", "-constraint", f'{names.AD_OPERATOR} == "{OPERATOR}"')
    wishes = lab.pool.run(*query, "-af:r", names.AD_WORKER, names.AD_USER_REQUIREMENTS).splitlines()
    said = dict(line.split(" ", 1) for line in wishes if line.startswith('"w'))
    for number, text in enumerate(EXPRESSIONS):
        if "[" not in text and "{" not in text and "'" not in text:  # printed in another way
            assert said[f'"w{number}"'].replace(" ", "") == text.replace(" ", "")
    ads = json.loads(lab.pool.run(*query, "-json"))
    assert {ad["Owner"] for ad in ads} == {"dask"}
    assert {ad["Cmd"] for ad in ads if ad[names.AD_WORKER]} == {"/bin/bash"}


async def test_a_list_and_an_expression_of_a_profile_arrive_as_such_and_are_evaluated(lab: RealLab) -> None:
    condor = await anchored(lab)
    tags = ["a", 'q"uote $(Name)', 2, [True]]
    given = {"Tags": tags, "Weight": ClassAdExpression("RequestMemory * 2"), "Text": "RequestMemory * 2"}
    meets = 'member("a", MY.Tags) && MY.Weight == 200 && isString(MY.Text) && isList(MY.Tags)'
    for name, requirements in (("meets", meets), ("not", 'member("b", MY.Tags)')):
        await submitted(lab, condor, name, attributes=given, profile_requirements=requirements)
    await lab.until(
        condor, lambda jobs: any(job.worker == "meets" and job.status is JobStatus.RUNNING for job in jobs)
    )
    ours = f'{names.AD_OPERATOR} == "{OPERATOR}" && {names.AD_WORKER} == "meets"'
    query = ("condor_q", "-allusers", "-constraint", ours)
    said = lab.pool.run(*query, "-af:r", "Weight", "Text").strip()
    assert said == 'RequestMemory * 2 "RequestMemory * 2"'
    assert lab.pool.run(*query, "-af", "Weight", "Tags[0]", "size(Tags)").split() == ["200", "a", "4"]
    (ad,) = json.loads(lab.pool.run(*query, "-json"))
    assert ad["Tags"] == tags
    assert [job.status for job in await condor.jobs() if job.worker == "not"] == [JobStatus.IDLE]


async def test_any_user_the_gateway_can_have_is_found_again_by_name(lab: RealLab) -> None:
    condor = await anchored(lab)
    for number, user in enumerate(USERS):
        await submitted(lab, condor, f"u{number}", username=user, requirements="false")
    found = {job.worker: job.user for job in await condor.jobs() if job.worker.startswith("u")}
    assert found == {f"u{number}": user for number, user in enumerate(USERS)}
    ours = f'{names.AD_OPERATOR} == "{OPERATOR}" && substr({names.AD_WORKER}, 0, 1) == "u"'
    accounts = lab.pool.run("condor_q", "-allusers", "-constraint", ours, "-af", "AcctGroupUser").split()
    assert len(set(accounts)) == len(accounts) == len(USERS)
