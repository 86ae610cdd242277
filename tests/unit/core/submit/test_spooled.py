"""Workers that bring their files: how they are described, and for how long none is tried without."""

from __future__ import annotations

from dataclasses import replace

import pytest

from htcdask_operator.condor import description as descriptions_
from htcdask_operator.core.actions import SubmitWorkers
from htcdask_operator.core.memory import PoolMemory
from htcdask_operator.core.model import JobStatus, Role
from htcdask_operator.core.scaling.stabilization import Demand
from htcdask_operator.core.size import NOTHING, ONE, Kind
from htcdask_operator.core.submit import anchor, descriptions, spooled, template
from htcdask_operator.core.submit.spooled import RefusedAnchor
from tests.builders import (
    NOW,
    POOL,
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


@pytest.mark.parametrize("delivery", ["stream", "transfer"])
def test_the_bundle_and_the_output_are_in_the_job_s_own_directory(delivery: str) -> None:
    policy, worker = make_policy(delivery=delivery), make_template()
    usual = descriptions.workers(make_pool(), make_cluster(), worker, "hash", "/spool/1", policy, NOW, "1.0")
    own = spooled.described(
        descriptions.workers(make_pool(), make_cluster(), worker, "hash", "", policy, NOW)
    )
    descriptions_.check(own, policy.operator_id)
    assert own["arguments"] == '"-p bundle.sh $(wname)"'
    assert own["output"] == own["error"] == "$(wout)"
    assert own["My.HTCDaskAnchor"] == '""'
    assert not {"My.Iwd", "My.In", "input", "stream_input", "transfer_input_files"} & own.keys()
    assert "/spool" not in str(own)
    moved = {"arguments", "output", "error", "My.HTCDaskAnchor"}
    same = {key: text for key, text in usual.items() if key in own and key not in moved}
    assert same.items() <= own.items(), "what rules and limits see is the same"


def test_an_anchor_is_not_asked_for_as_long_as_the_refusal_holds() -> None:
    refused = RefusedAnchor("hash", NOW, "No.")
    assert anchor.sort([], "hash", NOW + 3599, refused).refused == refused
    assert anchor.sort([], "hash", NOW + 3600, refused).refused is None
    assert anchor.sort([], "other", NOW, refused).refused is None
    assert anchor.sort([], None, NOW, refused).refused is None
    assert anchor.sort([make_anchor("hash")], "hash", NOW, refused).refused is None, (
        "there is one all the same"
    )
    assert anchor.sort([make_anchor("other")], "hash", NOW, refused).refused == refused


def test_without_an_anchor_a_worker_with_its_files_shows_what_a_transform_made_of_it() -> None:
    worker = make_job("w1", template_hash="hash", stage_in_finish=NOW, request_memory_mib=4000)
    others = make_job("w2", request_memory_mib=9)
    assert anchor.shown_request([worker, others], ONE, lambda: "hash")[Kind.MEMORY] == 4000
    held = make_anchor("hash", request_memory_mib=3000)
    assert anchor.shown_request([worker, held], ONE, lambda: "hash")[Kind.MEMORY] == 3000


@pytest.mark.parametrize("old", ["before", ""])
def test_a_worker_of_an_earlier_template_says_nothing_of_the_next_one(old: str) -> None:
    worker = make_job("w1", template_hash=old, stage_in_finish=NOW, request_memory_mib=8192)
    assert anchor.shown_request([worker], ONE, lambda: "hash") == NOTHING
    assert anchor.shown_request([worker], ONE, lambda: None) == NOTHING


def test_a_smaller_template_comes_beside_one_larger_worker_of_before() -> None:
    """Below a limit that has room for one of each, and not for two of the larger."""
    policy = make_policy(max_memory_per_user=10 * 2**30)
    pool, cluster = make_pool(template=make_template(memory="2Gi")), make_cluster(2)
    now = descriptions.template_hash(pool, cluster, template.resolve(pool, cluster, policy), policy)
    old = make_job(
        "aaaaaaaaa000",
        JobStatus.RUNNING,
        template_hash="before",
        request_memory_mib=8192,
        stage_in_finish=NOW - 900,
        started_at=NOW - 800,
        queued_at=NOW - 900,
    )
    usage = make_usage([old], policy, POOL)
    known = PoolMemory(demand=Demand(2, NOW - 60, 2), refused_anchor=RefusedAnchor(now, NOW - 10, "No."))
    observed = make_observed(cluster, [old], [old.worker], usage=usage)
    planned = plan_for([pool], observed, policy, memory=make_memory(cluster, pools={POOL: known}))
    assert [len(action.names) for action in planned.actions if isinstance(action, SubmitWorkers)] == [1]
    assert planned.statuses[POOL].desired_replicas == 2


def test_a_log_is_where_its_worker_s_files_are() -> None:
    own = make_job("w1", stage_in_finish=NOW)
    jobs = [own, make_job("w2", stage_in_finish=NOW), make_job("w3")]
    assert spooled.keepers(jobs, ["w1", "w3", "w4"]) == {"w1": own}
    assert not spooled.has_files(replace(make_anchor("hash"), role=Role.ANCHOR))
