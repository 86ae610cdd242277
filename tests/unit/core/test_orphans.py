"""Which jobs have no pool any more."""

from __future__ import annotations

from dataclasses import replace

from htcdask_operator.core.model import JobStatus, Role
from htcdask_operator.core.orphans import removal
from tests.builders import IDENTITY, make_anchor, make_job

WORKER = make_job("a", JobStatus.RUNNING, pool_uid="gone", namespace="gateway")
ANCHOR = make_anchor("hash", pool_uid="gone", namespace="gateway")


def test_workers_go_first_then_the_anchor() -> None:
    there = {"gateway": {"another"}}
    first = removal([ANCHOR, WORKER], there, IDENTITY)
    assert first is not None and first.jobs == ("a.0",)
    assert removal([ANCHOR, replace(WORKER, status=JobStatus.REMOVED)], there, IDENTITY) is None
    last = removal([ANCHOR], there, IDENTITY)
    assert last is not None and last.jobs == ("1.0",)


def test_the_jobs_of_a_pool_that_is_there_are_kept() -> None:
    assert removal([ANCHOR, WORKER], {"gateway": {"gone"}}, IDENTITY) is None


def test_only_our_own_jobs_that_name_a_pool_are_orphans() -> None:
    there: dict[str, set[str]] = {"gateway": set()}
    assert removal([replace(WORKER, owner="old@htcdask.test")], there, IDENTITY) is None
    assert removal([replace(WORKER, pool_uid="")], there, IDENTITY) is None
    unknown = removal([ANCHOR, replace(WORKER, status=JobStatus.UNKNOWN, role=Role.UNKNOWN)], there, IDENTITY)
    assert unknown is not None and unknown.jobs == ("a.0",)


def test_a_namespace_that_was_not_listed_is_not_ours_to_judge() -> None:
    assert removal([ANCHOR, WORKER], {}, IDENTITY) is None
    assert removal([replace(WORKER, namespace="another")], {"gateway": set()}, IDENTITY) is None
