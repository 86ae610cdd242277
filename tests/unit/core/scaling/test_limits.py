"""Limits that pools and clusters share: cores, memory and GPUs, whatever the templates."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htcdask_api import Template
from htcdask_operator.core.actions import SubmitWorkers
from htcdask_operator.core.memory import ClusterMemory
from htcdask_operator.core.model import ClusterFacts, Job, JobStatus, PoolFacts
from htcdask_operator.core.plan import Plan, plan
from htcdask_operator.core.policy import Policy, Profile
from htcdask_operator.core.size import Kind
from htcdask_operator.core.submit import descriptions
from tests.builders import (
    NOW,
    make_anchor,
    make_cluster,
    make_job,
    make_memory,
    make_observed,
    make_policy,
    make_pool,
    make_template,
    make_usage,
    plan_for,
)

GIB = 2**30
POLICY = make_policy()


def manual(uid: str, replicas: int, age: float = 80, **template: Any) -> PoolFacts:
    template_ = make_template(**template)
    return make_pool(uid, scaling="Manual", replicas=replicas, created_at=NOW - age, template=template_)


def gateway(**template: Any) -> PoolFacts:
    return make_pool("gateway", created_at=NOW - 90, template=make_template(**template))


def wanted(planned: Plan) -> dict[str, int]:
    return {uid: status.desired_replicas for uid, status in planned.statuses.items()}


def capped(planned: Plan, pool: str) -> str:
    return next(each.message for each in planned.statuses[pool].explanation if each.reason == "Capped")


def decided(pools: Sequence[PoolFacts], cluster: ClusterFacts, policy: Policy = POLICY, **facts: Any) -> Plan:
    return plan_for(pools, make_observed(cluster, **facts), policy, NOW)


# --- The gateway's, for one cluster.


def test_eight_pools_have_together_what_the_gateway_allows_the_cluster() -> None:
    pools = [manual(f"m{number}", 12, 80 - number, cores=8) for number in range(8)]
    planned = decided(pools, make_cluster(96, config={"cluster_max_cores": 100}))
    assert sum(wanted(planned).values()) * 8 == 96
    assert capped(planned, "m1") == "12 workers are asked for; the gateway's cluster_max_cores allows 0."


def test_older_manual_pools_come_first_and_the_gateways_pool_last() -> None:
    pools = [gateway(cores=2), manual("old", 2, 80, cores=4), manual("young", 2, 70, cores=8)]
    planned = decided(pools, make_cluster(9, config={"cluster_max_cores": 21, "scheduler_cores": 1}))
    assert wanted(planned) == {"old": 2, "young": 1, "gateway": 2}


def test_the_memory_of_all_pools_counts_less_the_schedulers() -> None:
    pools = [gateway(memory="1Gi"), manual("manual", 1, memory="4Gi")]
    config = {"cluster_max_memory": 8 * GIB, "scheduler_memory": 2 * GIB}
    assert wanted(decided(pools, make_cluster(9, config=config))) == {"manual": 1, "gateway": 2}


def test_workers_of_an_earlier_template_count_as_large_as_they_are() -> None:
    jobs = [make_job(f"w{n}", JobStatus.RUNNING, pool_uid="gateway", request_cores=8) for n in range(2)]
    planned = decided([gateway(cores=1)], make_cluster(9, config={"cluster_max_cores": 20}), jobs=jobs)
    assert wanted(planned) == {"gateway": 2 + 4}


# --- A pool that can never run.


@pytest.mark.parametrize(
    "template", [{"profile": "none"}, {"container_image": "/home/x"}, {"profile": "hers"}]
)
def test_a_manual_pool_that_can_never_run_takes_nothing_from_the_gateways_pool(template: Any) -> None:
    policy = make_policy(profiles={"hers": Profile("hers", Template(), users=("eve",))})
    pools = [gateway(), manual("refused", 3, **template)]
    planned = decided(pools, make_cluster(5, config={"cluster_max_cores": 5}), policy)
    assert wanted(planned)["gateway"] == 5


def test_what_a_refused_pool_still_has_counts() -> None:
    jobs = [make_job("w1", JobStatus.RUNNING, pool_uid="refused", request_cores=1, request_memory_mib=2048)]
    pools = [gateway(), manual("refused", 3, profile="none")]
    assert wanted(decided(pools, make_cluster(5), jobs=jobs, connected=["w1"]))["gateway"] == 4


# --- Profiles.


def test_a_profile_is_refused_to_who_is_not_named_before_anything_is_made() -> None:
    policy = make_policy(
        profiles={
            "gpu": Profile("gpu", Template(), users=("bob", "dune-*")),
            "cpu": Profile("cpu", Template()),
        }
    )
    pools = [gateway(profile="gpu")]
    refused = decided(pools, make_cluster(1), policy)
    ready = refused.statuses["gateway"].condition("Ready")
    assert (refused.actions, ready and ready.reason) == ((), "ProfileNotAllowed")
    assert ready is not None and "gpu is not for alice: name another one (cpu) or none" in ready.message
    assert decided(pools, make_cluster(1, username="dune-7"), policy).actions


def test_a_profile_is_for_the_members_of_its_groups() -> None:
    policy = make_policy(
        profiles={
            "gpu": Profile("gpu", Template(), users=("bob",), groups=("dune", "at*")),
            "cpu": Profile("cpu", Template(), groups=("cms",)),
        }
    )
    pools = [gateway(profile="gpu")]
    refused = decided(pools, make_cluster(1, groups=frozenset({"cms", "atlas"})), policy)
    ready = refused.statuses["gateway"].condition("Ready")
    assert (refused.actions, ready and ready.reason) == ((), "ProfileNotAllowed")
    assert ready is not None and "dune" not in ready.message
    assert "gpu is not for alice, nor for a group of theirs when the cluster was made: " in ready.message
    assert (
        "name another one (cpu) or none, make a new cluster if they have joined one since, or"
        in ready.message
    )
    assert decided(pools, make_cluster(1, groups=frozenset({"cms", "dune"})), policy).actions
    assert decided(pools, make_cluster(1, username="bob"), policy).actions
    assert not decided(pools, make_cluster(1, username="dune"), policy).actions


def test_a_profile_that_is_unknown_is_told_with_those_for_ones_groups() -> None:
    policy = make_policy(
        profiles={
            "ours": Profile("ours", Template(), groups=("dune",)),
            "theirs": Profile("theirs", Template(), groups=("cms",)),
        }
    )
    refused = decided([gateway(profile="x")], make_cluster(1, groups=frozenset({"dune"})), policy)
    ready = refused.statuses["gateway"].condition("Ready")
    assert ready is not None and "has no profile x: there are ours. Make" in ready.message


def test_a_profiles_limit_counts_all_its_pools_of_all_clusters() -> None:
    policy = make_policy(profiles={"gpu": Profile("gpu", Template(), max_replicas=5)})
    others = [make_job("x", pool_uid="elsewhere", profile="gpu"), make_job("y", pool_uid="elsewhere")]
    pools = [gateway(), manual("one", 3, 80, profile="gpu"), manual("two", 3, 70, profile="gpu")]
    planned = decided(pools, make_cluster(9), policy, usage=make_usage(others, policy))
    assert wanted(planned) == {"one": 3, "two": 1, "gateway": 5}
    assert capped(planned, "two") == "3 workers are asked for; the limit of profile gpu allows 1."


# --- The site's, for one user and for all.


@pytest.mark.parametrize(
    ("limits", "expected", "name"),
    [
        ({"max_cores_per_user": 10}, 2, "for one user in cores"),
        ({"max_memory_per_user": 30 * GIB}, 3, "for one user in memory"),
        ({"max_gpus_per_user": 4}, 3, "for one user in GPUs"),
        ({"max_cores": 11}, 1, "for all users in cores"),
        ({"max_memory": 30 * GIB}, 2, "for all users in memory"),
        ({"max_gpus": 4}, 2, "for all users in GPUs"),
    ],
)
def test_a_limit_counts_what_workers_of_other_clusters_request(limits: Any, expected: int, name: str) -> None:
    policy = make_policy(**limits)
    large: dict[str, Any] = {"request_cores": 4, "request_memory_mib": 6 * 1024, "request_gpus": 1}
    others = [
        make_job(user, pool_uid=user, user=user, cluster_uid="theirs", **large) for user in ("alice", "bob")
    ]
    pools = [gateway(cores=3, memory="8Gi", gpus=1)]
    planned = decided(pools, make_cluster(9), policy, usage=make_usage(others, policy))
    assert wanted(planned) == {"gateway": expected}
    assert name in capped(planned, "gateway")
    assert planned.wake_at == NOW + 10


@pytest.mark.parametrize(("anchor_mib", "expected"), [(1, 7), (2048, 7), (4000, 3)])
def test_the_anchor_shows_what_a_transform_of_the_site_makes_of_the_next_worker(
    anchor_mib: int, expected: int
) -> None:
    """By their template seven would fit; once there they would be too many, and go, and come again."""
    anchor = make_anchor("any", pool_uid="gateway", request_memory_mib=anchor_mib)
    policy = make_policy(max_memory_per_user=15_000 * 2**20)
    planned = decided([gateway(memory="2Gi")], make_cluster(9), policy, jobs=[anchor])
    assert wanted(planned) == {"gateway": expected}


def test_a_lowered_limit_of_gpus_takes_no_worker_without_one() -> None:
    policy = make_policy(max_gpus_per_user=1)
    mine = [
        make_job(
            f"m{n}", pool_uid=pool, user="alice", queued_at=NOW - 50 + n, request_gpus=gpus, request_cores=1
        )
        for n, (pool, gpus) in enumerate([("gpu", 1), ("gpu", 1), ("gateway", 0)])
    ]
    pools = [gateway(), manual("gpu", 2, gpus=1)]
    usage = make_usage(mine, policy, "gpu", "gateway")
    assert wanted(decided(pools, make_cluster(3), policy, jobs=mine, usage=usage)) == {"gpu": 1, "gateway": 1}


# --- Whatever happens.

CAPS = st.fixed_dictionaries(
    {},
    optional={
        "max_replicas_per_user": st.integers(0, 8),
        "max_cores_per_user": st.integers(0, 20),
        "max_gpus_per_user": st.integers(0, 5),
        "max_replicas": st.integers(0, 12),
        "max_cores": st.integers(0, 30),
        "max_memory": st.integers(0, 40).map(lambda gib: gib * GIB),
    },
)
POOLS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 6), st.integers(1, 5), st.integers(1, 6), st.integers(0, 2)),
    min_size=1,
    max_size=4,
)
CONFIG = st.fixed_dictionaries(
    {},
    optional={
        "cluster_max_cores": st.integers(0, 25),
        "cluster_max_memory": st.integers(0, 30).map(lambda gib: gib * GIB),
        "cluster_max_workers": st.integers(0, 9),
    },
)
CLUSTERS = st.lists(
    st.tuples(POOLS, CONFIG, st.lists(st.integers(0, 12), min_size=1, max_size=4)), min_size=1, max_size=3
)


def _edited(pool: PoolFacts, number: int) -> PoolFacts:
    """Somebody gives a Manual pool other replicas."""
    if pool.spec.scaling != "Manual":
        return pool
    replicas = (pool.spec.replicas + 3 * number) % 7
    return replace(pool, spec=pool.spec.model_copy(update={"replicas": replicas}))


class World:
    """Clusters that plan in turn; every submit is a job at once, every removal too."""

    def __init__(self, policy: Policy, clusters: Sequence[Any]) -> None:
        self.policy, self.now = policy, NOW
        self.numbers = itertools.count()
        self.jobs: dict[str, Job] = {}
        self.clusters: list[tuple[ClusterFacts, list[PoolFacts], list[int]]] = []
        self.memories: dict[str, ClusterMemory] = {}
        for number, (pools, config, scales) in enumerate(clusters):
            cluster = make_cluster(uid=f"c{number}", username=("alice", "bob")[number % 2], config=config)
            its = [self._pool(f"c{number}p{place}", place, *facts) for place, facts in enumerate(pools)]
            self.clusters.append((cluster, [replace(pool, owner_uid=cluster.uid) for pool in its], scales))
            self.memories[cluster.uid] = make_memory(cluster)
            for pool in its:
                marked = descriptions.template_hash(pool, cluster, pool.spec.template, policy)
                anchor = make_anchor(marked, pool_uid=pool.uid, id=f"a{pool.uid}", cluster_uid=cluster.uid)
                self.jobs[anchor.id] = anchor

    def _pool(
        self, uid: str, place: int, is_manual: bool, count: int, cores: int, gib: int, gpus: int
    ) -> PoolFacts:
        template = make_template(cores=cores, memory=f"{gib}Gi", gpus=gpus)
        if is_manual:
            return make_pool(uid, scaling="Manual", replicas=count, created_at=NOW - place, template=template)
        return make_pool(uid, created_at=NOW - place, template=template)

    def step(self, cluster: ClusterFacts, pools: list[PoolFacts], wanted: int) -> None:
        self.now += 10
        cluster = replace(cluster, replicas=wanted)
        pools = [_edited(pool, wanted + place) for place, pool in enumerate(pools)]
        uids = {pool.uid for pool in pools}
        its = [job for job in self.jobs.values() if job.pool_uid in uids]
        usage = make_usage(self.jobs.values(), self.policy, *uids, user=cluster.username)
        # Some run and are in the middle of a task for ever: they stay although they are too many.
        busy = frozenset(job.worker for job in its if job.status is JobStatus.RUNNING)
        observed = make_observed(cluster, its, busy, busy=busy, usage=usage)
        planned = plan(pools, observed, self.memories[cluster.uid], self.policy, self.now)
        self.memories[cluster.uid] = planned.memory
        sizes = {pool.uid: pool.spec.template for pool in pools}
        for action in planned.actions:
            for job in getattr(action, "jobs", ()):
                if not job.startswith("a"):
                    self.jobs.pop(job, None)
            if isinstance(action, SubmitWorkers):
                for name in action.names:
                    self._submit(action.pool, sizes[action.pool], name, cluster)

    def _submit(self, pool: str, template: Template, name: str, cluster: ClusterFacts) -> None:
        number = next(self.numbers)
        id_ = f"{number}.0"
        status = JobStatus.RUNNING if number % 2 else JobStatus.IDLE
        self.jobs[id_] = make_job(
            name,
            status,
            id=id_,
            pool_uid=pool,
            cluster_uid=cluster.uid,
            user=cluster.username,
            queued_at=self.now,
            status_since=self.now,
            request_cores=template.cores,
            request_memory_mib=template.memory_bytes // 2**20,
            request_gpus=template.gpus,
        )

    def requested(self, **which: str) -> list[int]:
        workers = [
            job
            for job in self.jobs.values()
            if job.worker and all(getattr(job, name) == value for name, value in which.items())
        ]
        return [sum(job.size[kind] for job in workers) for kind in Kind]

    def check(self) -> None:
        for user in ("alice", "bob"):
            used = self.requested(user=user)
            assert all(used[kind] <= cap for kind, cap in self.policy.caps_per_user.items())
        used = self.requested()
        assert all(used[kind] <= cap for kind, cap in self.policy.caps.items())
        for cluster, _, _ in self.clusters:
            workers, cores, memory, _ = self.requested(cluster_uid=cluster.uid)
            assert workers <= cluster.config.get("cluster_max_workers", 99)  # type: ignore[operator]
            assert cores <= cluster.config.get("cluster_max_cores", 999)  # type: ignore[operator]
            assert memory * 2**20 <= cluster.config.get("cluster_max_memory", 999 * GIB)  # type: ignore[operator]


@settings(max_examples=200, deadline=None)
@given(CAPS, CLUSTERS)
def test_no_sequence_of_pools_and_jobs_exceeds_any_limit(caps: dict[str, Any], clusters: list[Any]) -> None:
    world = World(make_policy(**caps), clusters)
    for turn in range(5):
        for cluster, pools, scales in world.clusters:
            world.step(cluster, pools, scales[turn % len(scales)])
            world.check()


def test_a_site_without_limits_is_filled_as_far_as_the_schedulers_ask() -> None:
    """The world of the test above does submit."""
    world = World(POLICY, [([(False, 0, 2, 2, 0)], {}, [7])])
    ((cluster, pools, _),) = world.clusters
    for _ in range(3):
        world.step(cluster, pools, 7)
    assert world.requested()[0] == 7
