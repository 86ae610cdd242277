"""The pool of a cluster that asks for HTCondor workers and has none: `dask_gateway.Gateway`, labextension.

Called by `plan` for a cluster without pools. It takes the site's defaults and what the cluster's options say.
Somebody who deletes a pool wants it gone, so a cluster that had one gets no other from us.
"""

from __future__ import annotations

from htcdask_api import names
from htcdask_operator.core.actions import CreatePool
from htcdask_operator.core.model import ClusterFacts, Observed
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.scaling import scale_scheduler
from htcdask_operator.core.scaling.scale_scheduler import LastScale


def missing(observed: Observed, last: LastScale | None, policy: Policy) -> CreatePool | None:
    """The pool to make, if one is needed; not for a number that the scheduler was told for pools now gone."""
    cluster = observed.cluster
    if not isinstance(cluster, ClusterFacts) or not policy.default_pool or observed.had_pools:
        return None
    if cluster.pool_made or not (cluster.htcondor and cluster.active):
        return None
    if not scale_scheduler.own_number(last, cluster):
        return None
    name = names.pool_name(names.DEFAULT_POOL, cluster.name)
    return CreatePool(name, cluster.namespace, cluster.name, cluster.uid)
