"""The order of the checks, and what each finds. A finding names what is wrong and what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from htcdask_api import Template
from htcdask_operator.core.checks import chains
from htcdask_operator.core.memory import PoolMemory, Refusal
from htcdask_operator.core.model import Gone
from htcdask_operator.core.policy import ClassAdExpression, Profile
from htcdask_operator.core.pool_state import PoolState
from htcdask_operator.core.scaling.desired import Allocation
from htcdask_operator.core.submit.anchor import Anchors
from htcdask_operator.core.token_bucket import Spent
from htcdask_operator.core.workers.backoff import Backoff
from htcdask_operator.core.workers.ledger import Ledger, Submitted
from tests.builders import (
    ACCESS_POINT_SILENT,
    API_SILENT,
    CLUSTER,
    NOW,
    POOL,
    SCHEDULER_SILENT,
    make_anchor,
    make_cluster,
    make_job,
    make_memory,
    make_observed,
    make_policy,
    make_pool,
    make_template,
)


def make_case(**facts: object) -> PoolState:
    """A pool that passes every check."""
    case = PoolState(
        pool=make_pool(),
        observed=make_observed(),
        memory=make_memory(),
        policy=make_policy(),
        now=NOW,
        template=make_template(),
        gateway_pool=POOL,
        anchors=Anchors(usable=make_anchor("hash")),
    )
    return replace(case, **facts)  # type: ignore[arg-type]


def with_cluster(**facts: object) -> PoolState:
    return make_case(observed=make_observed(make_cluster(**facts)))  # type: ignore[arg-type]


FAILING = make_case(missing=1, backoff=Backoff(0, NOW + 10, None, "Worker a ended with exit code 1."))
REFUSED = make_memory(pools={POOL: PoolMemory(refusal=Refusal("no.", NOW))})
GPU = Profile("gpu", Template(), attributes={"not a name": 1})
WEIGHING = Profile("gpu", Template(), attributes={"Weight": ClassAdExpression("1 + 1"), "Text": "1"})

# In the order of `checks.ALL`: what each finds, on a pool that has nothing else against it.
CASES = {
    "InvalidPool": make_case(pool=make_pool(invalid="memory: must be a quantity")),
    "ClusterUnseen": make_case(observed=make_observed(API_SILENT)),
    "ClusterNotFound": make_case(pool=make_pool(owner_uid=None), observed=make_observed(Gone())),
    "ClusterUsesKubernetesWorkers": with_cluster(htcondor=False),
    "AnotherPoolFollowsGateway": make_case(gateway_pool="an older one"),
    "UnknownProfile": make_case(template=make_template(profile="tpu")),
    "ProfileNotAllowed": make_case(
        template=make_template(profile="gpu"),
        policy=make_policy(profiles={"gpu": Profile("gpu", Template(), users=("bob", "dune-*"))}),
    ),
    "ImageMissing": make_case(template=Template()),
    "ImageNotAllowed": make_case(policy=make_policy(allowed_images=("/cvmfs/ours/*",))),
    "ImageNotAllowed (a folder)": make_case(template=make_template(container_image="/home/x")),
    "RunTimeNotAllowed": make_case(
        template=make_template(max_runtime_seconds=7001), policy=make_policy(max_runtime_seconds=7000)
    ),
    "ExpressionsNotAllowed": make_case(
        pool=make_pool(template=make_template(rank="KFlops")),
        policy=make_policy(allow_user_expressions=False),
    ),
    "BadExpression (of the profile, named)": make_case(
        template=make_template(profile="gpu", requirements='Cpus > 1 && MY.WEIGHT > 3 && "x" != "y"'),
        policy=make_policy(profiles={"gpu": WEIGHING}),
    ),
    "BadExpression": make_case(
        template=make_template(profile="gpu"), policy=make_policy(profiles={"gpu": GPU})
    ),
    "ClusterPending": with_cluster(running=False, phase="Pending"),
    "NotFinalized": make_case(pool=make_pool(finalized=False)),
    "NotAdopted": make_case(pool=make_pool(owner_uid=None)),
    "CondorUnreachable": make_case(observed=make_observed(jobs=ACCESS_POINT_SILENT)),
    "CondorIdentityUnknown": make_case(observed=make_observed(condor_identity=None)),
    "AnotherIdentity": make_case(jobs=(make_job("w1", owner="old@htcdask.test"),)),
    "IdentityNotRecorded": make_case(pool=make_pool(submitted_as="old@htcdask.test")),
    "JobsNotShown": make_case(ledger=Ledger(accepted_jobs={"17.0": Submitted(NOW - 30, anchor=False)})),
    "SubmitRefused": make_case(memory=REFUSED, missing=1, allocation=Allocation(1)),
    "BackingOff (the anchor)": make_case(
        anchors=Anchors(), anchor_backoff=Backoff(0, NOW + 10, None, "The job 1.0 was removed.")
    ),
    "AnchorSpooling": make_case(anchors=Anchors()),
    "SchedulerUnreachable": make_case(observed=make_observed(connected=SCHEDULER_SILENT)),
    "BackingOff": FAILING,
    "SubmittingSlowly": make_case(missing=1, allocation=Allocation(1), ledger=Ledger(submits=Spent(20, NOW))),
}
A_PERSON_HAS_TO_ACT = list(CASES)[:1] + list(CASES)[3:14] + ["AnotherIdentity", "JobsNotShown"]


def test_a_pool_with_nothing_against_it_passes() -> None:
    assert chains.first(chains.ALL, make_case()) is None


@pytest.mark.parametrize("reason", CASES)
def test_each_check_finds_its_own_and_says_it_in_a_sentence(reason: str) -> None:
    finding = chains.first(chains.ALL, CASES[reason])
    assert finding is not None
    assert finding.reason == reason.split()[0]
    assert finding.stalled == (reason in A_PERSON_HAS_TO_ACT)
    assert len(finding.message) > 20


def test_the_order_of_the_checks() -> None:
    """What nobody but a person mends comes first; each check finds the case that stands at its place."""
    found = [next(c for c in chains.ALL if c(case) is not None) for case in CASES.values()]
    assert found == list(chains.ALL)


def test_an_account_that_the_access_point_does_not_have_is_said_to_lack() -> None:
    said = "AP user has OS user value htcdask, which is not a valid OS account [said by the schedd ap]"
    refused = make_memory(pools={POOL: PoolMemory(refusal=Refusal(said, NOW))})
    finding = chains.first(chains.ALL, make_case(memory=refused, missing=1))
    assert finding is not None and finding.message.startswith(said)
    assert "identity has to be an account of the access point" in finding.message
    other = chains.first(chains.ALL, make_case(memory=REFUSED, missing=1))
    assert other is not None and "account" not in other.message


def test_a_refused_submit_is_nothing_against_a_pool_that_lacks_no_job() -> None:
    """Fewer are wanted by now, and those are there; but who retires will need a successor."""
    assert chains.first(chains.ALL, make_case(memory=REFUSED)) is None
    retires = make_template(max_runtime_seconds=600)
    for case in (make_case(memory=REFUSED, anchors=Anchors()), make_case(memory=REFUSED, template=retires)):
        finding = chains.first(chains.ALL, case)
        assert finding is not None and finding.reason == "SubmitRefused"


def test_the_first_finding_wins() -> None:
    worst = make_case(
        pool=make_pool(invalid="nonsense", finalized=False),
        observed=make_observed(API_SILENT, ACCESS_POINT_SILENT, SCHEDULER_SILENT),
        anchors=Anchors(),
    )
    finding = chains.first(chains.ALL, worst)
    assert finding is not None and finding.reason == "InvalidPool"


@pytest.mark.parametrize(
    ("cluster", "owner", "reason"),
    [
        (make_cluster(), "cluster-uid", None),
        (API_SILENT, "cluster-uid", None),
        (Gone(), None, None),
        (Gone(), "cluster-uid", "ClusterGone"),
        (make_cluster(uid="new"), "cluster-uid", "ClusterGone"),
        (make_cluster(active=False, phase="Stopped"), "cluster-uid", "ClusterInactive"),
        (make_cluster(active=False, phase="Failed"), None, "ClusterInactive"),
    ],
    ids=[
        "a living cluster is not over",
        "a cluster that cannot be seen is not over",
        "a cluster that never was is waited for",
        "a cluster that was and is gone is over",
        "a namesake is not the cluster",
        "a stopped cluster is over",
        "a failed one too, although it never owned the pool",
    ],
)
def test_when_a_cluster_is_over(cluster: object, owner: str | None, reason: str | None) -> None:
    case = make_case(pool=make_pool(owner_uid=owner), observed=make_observed(cluster))  # type: ignore[arg-type]
    finding = chains.cluster_is_over(case)
    assert (finding.reason if finding else None) == reason


@pytest.mark.parametrize(
    ("running", "phase", "said"), [(False, "Failed", " (phase Failed)."), (True, "Running", ".")]
)
def test_a_phase_that_is_behind_is_not_told_of_an_end(running: bool, phase: str, said: str) -> None:
    """Whoever stops a cluster writes its spec, and the controller its phase, later."""
    ended = make_observed(make_cluster(active=False, running=running, phase=phase))
    finding = chains.cluster_is_over(make_case(pool=make_pool(owner_uid=CLUSTER), observed=ended))
    assert finding is not None and finding.message == f"The cluster abc has ended{said}"


def test_a_refusal_that_repeats_is_for_a_person() -> None:
    memory = make_memory(pools={POOL: PoolMemory(refusal=Refusal("no such account.", NOW, times=5))})
    refused = make_case(memory=memory, missing=1)
    finding = chains.first(chains.ALL, refused)
    assert finding is not None and finding.stalled and finding.until == NOW + 160


def test_failures_are_nobody_s_business_while_nothing_is_missing() -> None:
    assert chains.first(chains.ALL, replace(FAILING, missing=0)) is None
