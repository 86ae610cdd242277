"""A submit that certainly did not happen uses up nothing of the pace at which a pool may submit."""

from __future__ import annotations

from typing import Any

import pytest

from htcdask_operator.condor.errors import CondorError, CondorNotAsked, CondorRefused, SubmitTooLate
from htcdask_operator.core.model import JobStatus
from htcdask_operator.kube.errors import KubeError
from tests.unit.site import Site

WORKERS = 10


@pytest.mark.parametrize(
    "error",
    [
        CondorRefused("the token has expired"),
        SubmitTooLate("the lease is over"),
        CondorNotAsked("what was asked before had no answer"),
        KubeError("the Secret", "it is busy", 429),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_when_the_trouble_is_over_all_workers_may_come(
    monkeypatch: pytest.MonkeyPatch, error: CondorError | KubeError
) -> None:
    site = Site()
    site.add_cluster(wanted=0)
    await site.settle(8)
    tried: list[int] = []

    async def refuse(description: Any, names: tuple[str, ...], *rest: Any, **options: Any) -> None:
        tried.append(len(names))
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(site.condor, "submit_workers", refuse)
        site.scale(WORKERS)
        await site.settle(400)
    assert sum(tried) > 3 * WORKERS
    assert set(tried) == {WORKERS}, "nothing was said of how many are too many"
    for _ in range(130):  # the pause after the last failure
        await site.settle(1)
        if site.jobs():
            break
    await site.settle(3)
    workers = [job for job in site.jobs() if job.status in (JobStatus.IDLE, JobStatus.RUNNING)]
    assert len(workers) == WORKERS
