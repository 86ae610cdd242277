"""Which cluster gets a pool that nobody made."""

from __future__ import annotations

import pytest

from htcdask_operator.core.actions import CreatePool
from htcdask_operator.core.model import Gone, Observed
from htcdask_operator.core.policy import Policy
from tests.builders import API_SILENT, CLUSTER, POOL, make_cluster, make_observed, make_policy, make_pool
from tests.unit.core.planned import POLICY
from tests.unit.core.scaling.pools import decided

DEFAULT_POOL = CreatePool("default-abc", "gateway", "abc", CLUSTER)


def test_a_cluster_that_asks_for_workers_and_has_no_pool_gets_the_default_one() -> None:
    assert decided([], make_observed(make_cluster(1))) == (DEFAULT_POOL,)


@pytest.mark.parametrize(
    ("observed", "policy"),
    [
        (make_observed(make_cluster(0)), POLICY),
        (make_observed(make_cluster(1, htcondor=False)), POLICY),
        (make_observed(make_cluster(1, active=False)), POLICY),
        (make_observed(make_cluster(1), had_pools=True), POLICY),
        (make_observed(make_cluster(1, pool_made=True)), POLICY),
        (make_observed(make_cluster(2, asked=0, word="noon")), POLICY),
        (make_observed(make_cluster(1)), make_policy(default_pool=False)),
        (make_observed(Gone()), POLICY),
        (make_observed(API_SILENT), POLICY),
    ],
    ids=[
        "nobody asks",
        "Kubernetes workers",
        "it has ended",
        "its pool was deleted",
        "its user had chosen another, as the gateway knows",
        "its scheduler was told, for a pool that is gone",
        "the site does not want it",
        "gone",
        "not seen",
    ],
)
def test_no_other_cluster_gets_one(observed: Observed, policy: Policy) -> None:
    assert decided([], observed, policy) == ()


def test_a_cluster_with_a_pool_gets_no_second_one() -> None:
    actions = decided([make_pool(POOL, deleting=True)], make_observed(make_cluster(1)))
    assert DEFAULT_POOL not in actions
