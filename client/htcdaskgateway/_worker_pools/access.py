"""Where a cluster's worker pools are written and read: the port, and which implementation of it is used.

Called by `creation` and by the cluster object. `htcdask.pool-api` in the configuration chooses between the
gateway's own route and the Kubernetes API.
"""

from collections.abc import Sequence
from typing import Protocol

from dask_gateway import Gateway

from htcdask_api import Template, WorkerLog
from htcdaskgateway._config import ClientConfig
from htcdaskgateway._worker_pools.gateway_route import RoutePools
from htcdaskgateway._worker_pools.kubernetes_api import KubernetesPools
from htcdaskgateway._worker_pools.pool import Pool


class PoolAccess(Protocol):
    """The port. `cluster` is the cluster's name as the gateway says it, `pool` the pool's short name."""

    async def create(self, cluster: str, pool: str, template: Template, replicas: int | None = None) -> Pool:
        """Write a pool that follows the gateway's count, or one of `replicas` workers of its own.

        PoolRefusedError says what is wrong with it.
        """

    async def scale(self, cluster: str, pool: str, replicas: int) -> None:
        """Change the number of a pool of its own; PoolRefusedError says why not."""

    async def delete(self, cluster: str, pool: str) -> None:
        """Delete a pool; PoolRefusedError says why not, such as that there is none of that name."""

    async def list(self, cluster: str) -> list[Pool]:
        """The cluster's pools, oldest first; empty if the cluster is gone."""

    async def logs(self, cluster: str, pool: str) -> Sequence[WorkerLog] | None:
        """What workers of a pool printed that have ended, newest first; None: nobody here can say."""


def pool_access(gateway: Gateway, config: ClientConfig) -> PoolAccess:
    """The implementation that the configuration names."""
    return KubernetesPools(config.namespace) if config.pool_api == "kubernetes" else RoutePools(gateway)
