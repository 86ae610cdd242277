"""One pool, planned once: what is done, and of what kind."""

from __future__ import annotations

from collections.abc import Sequence

from htcdask_operator.core.actions import Action, Remove, SubmitWorkers
from htcdask_operator.core.model import Observed, PoolFacts
from htcdask_operator.core.submit import descriptions
from tests.builders import NOW, make_anchor, make_cluster, make_policy, make_pool, make_template, plan_for

POLICY = make_policy()
TEMPLATE_HASH = descriptions.template_hash(make_pool(), make_cluster(), make_template(), POLICY)
ANCHOR = make_anchor(TEMPLATE_HASH)
FOUR = make_cluster(4)


def actions(pool: PoolFacts, observed: Observed) -> tuple[Action, ...]:
    return plan_for([pool], observed, POLICY, NOW).actions


def kinds(found: Sequence[Action]) -> list[type[Action]]:
    return [type(action) for action in found]


def removed(found: Sequence[Action]) -> list[str]:
    return [job for action in found if isinstance(action, Remove) for job in action.jobs]


def submitted(found: Sequence[Action]) -> int:
    return sum(len(action.names) for action in found if isinstance(action, SubmitWorkers))
