"""A worker that takes far more memory than it asked for, on a real HTCondor: what its pool says of it."""

from __future__ import annotations

import time
from pathlib import Path

from htcdask_operator.core.model import JobStatus
from htcdask_operator.core.submit import descriptions
from htcdask_operator.core.workers.states import State, judge
from playground.condor.bare import BarePool
from tests.builders import make_cluster, make_observed, make_policy, make_pool, make_template
from tests.contract.labs import IMAGE, RealLab

HUNGRY = b"""eaten=0123456789abcdef
for _ in {1..26}; do eaten=$eaten$eaten; done
more=${eaten:0:500000000}
while true; do sleep 1; done
"""  # 1.5 GB; an image for jobs that only need bash


async def test_the_execute_node_s_rule_is_told_as_what_it_is_about(
    bare_pool: BarePool, tmp_path: Path
) -> None:
    lab = RealLab(bare_pool, tmp_path)
    condor, policy = lab.operator("memory"), make_policy(operator_id="memory")
    anchor = descriptions.anchor(make_pool(), make_cluster(), "hash", policy, lab.now())
    kept = await condor.submit_anchor(anchor, HUNGRY)
    (staged,) = await lab.until(condor, lambda jobs: jobs[0].stage_in_finish)
    await condor.hold([kept], "kept")
    template = make_template(container_image=IMAGE, memory="100Mi")
    worker = descriptions.workers(
        make_pool(), make_cluster(), template, "hash", staged.iwd or "", policy, lab.now()
    )
    (job,) = await condor.submit_workers(worker, ["w1"])
    jobs = await lab.until(
        condor, lambda jobs: any(each.id == job and each.status is JobStatus.HELD for each in jobs)
    )
    (held,) = (each for each in jobs if each.id == job)
    assert held.hold_code == 21, held.hold_reason
    told = judge(held, make_observed(condor_identity=held.owner), {}, policy, time.time())
    assert (told.state, told.reason) == (State.FAILED, "OutOfResources")
    assert "memory usage exceeded request_memory" in told.message
    assert "MiB of memory and asked for 100 MiB: ask for more" in told.message
    await condor.remove([job, kept], "the end of the test")
    await lab.close()
