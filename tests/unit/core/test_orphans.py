"""Which jobs have no pool any more."""

from __future__ import annotations

from dataclasses import replace

from htcdask_operator.core.model import JobStatus
from htcdask_operator.core.orphans import removal
from tests.builders import make_anchor, make_job

WORKER = make_job("a", JobStatus.RUNNING, pool_uid="gone", namespace="gateway")
ANCHOR = make_anchor("mark", pool_uid="gone", namespace="gateway")


def test_workers_go_first_then_the_anchor() -> None:
    there = {"gateway": {"another"}}
    first = removal([ANCHOR, WORKER], there)
    assert first is not None and first.jobs == ("a.0",)
    assert removal([ANCHOR, replace(WORKER, status=JobStatus.REMOVED)], there) is None
    last = removal([ANCHOR], there)
    assert last is not None and last.jobs == ("1.0",)


def test_the_jobs_of_a_pool_that_is_there_are_kept() -> None:
    assert removal([ANCHOR, WORKER], {"gateway": {"gone"}}) is None


def test_a_namespace_that_was_not_listed_is_not_ours_to_judge() -> None:
    assert removal([ANCHOR, WORKER], {}) is None
    assert removal([replace(WORKER, namespace="another")], {"gateway": set()}) is None
