"""The last look at a submit description lets the core's own through, and nothing that could be code."""

from __future__ import annotations

import pytest

from htcdask_operator.condor.description import check, check_names
from htcdask_operator.condor.errors import SubmitRefused
from htcdask_operator.core.policy import Profile
from htcdask_operator.core.submit import descriptions
from tests.builders import NOW, make_cluster, make_policy, make_pool, make_template

PROFILE = Profile("gpu", make_template(), "HasGpu", "KFlops", "group_x", {"WantGpu": True})


@pytest.mark.parametrize("delivery", ["stream", "transfer"])
def test_passes_what_the_core_writes(delivery: str) -> None:
    policy = make_policy(delivery=delivery, profiles={"gpu": PROFILE}, accounting_group="group_dask")
    template = make_template(
        profile="gpu",
        gpus=1,
        requirements='HasAVX2 && Name != "$(x)"',
        rank="Memory",
        max_runtime_seconds=3600,
    )
    pool, cluster = make_pool(), make_cluster()
    check(descriptions.anchor(pool, cluster, template, "hash", policy, NOW), policy.operator_id)
    check(descriptions.workers(pool, cluster, template, "hash", "/spool/1", policy, NOW), policy.operator_id)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"transfer_input_files\n": "x"}, "not one that HTCDask uses"),
        ({"include": "x"}, "not one that HTCDask uses"),
        ({"My.A B": "1"}, "not one that HTCDask uses"),
        ({"rank": "1\narguments = x"}, "control characters"),
        ({"rank": "$ENV(SECRET)"}, "has a macro"),
        ({"rank": "$(DOLLAR)$F(x)"}, "has a macro"),
        ({"executable": "/bin/sh"}, "does not run"),
        ({"My.HTCDaskOperator": '"another"'}, "never be found again"),
    ],
)
def test_refuses_what_it_does_not_know(change: dict[str, str], said: str) -> None:
    policy = make_policy()
    good = descriptions.anchor(make_pool(), make_cluster(), make_template(), "hash", policy, NOW)
    with pytest.raises(SubmitRefused, match=said):
        check({**good, **change}, policy.operator_id)


@pytest.mark.parametrize("names", [[], ["a", "a"], ["a b"], [""], ["-a"], ["a\n"], ["$(x)"], ["a" * 65]])
def test_refuses_names_that_are_none(names: list[str]) -> None:
    with pytest.raises(SubmitRefused):
        check_names(names)
