"""What is still to be had of a cluster object that is closed here, and so are its connection and its loop.

Called by the cluster object.
"""

from dask_gateway import Gateway, GatewayClusterError

from htcdaskgateway._config import ClientConfig
from htcdaskgateway._errors import PoolStalledError
from htcdaskgateway._kind import take_after
from htcdaskgateway._worker_pools.access import pool_access
from htcdaskgateway._worker_pools.logs import ClusterLogs, chosen, of_ended
from htcdaskgateway._worker_pools.pool import Pool


def closed_here(cluster: str, ended: str | None) -> GatewayClusterError:
    """For whoever asks it for a client or for workers. `ended`: a sentence, if the cluster has."""
    if ended is not None:
        return PoolStalledError(f"No worker will come to cluster {cluster}: {ended}")
    return GatewayClusterError(f"Cluster {cluster} is closed here: gateway.connect(name) opens it")


def logs_kept(gateway: Gateway, cluster: str, worker: str | None) -> ClusterLogs:
    """What is kept of workers that have ended, while their pools are there. `gateway`: the closed one."""
    again = Gateway(gateway.address, gateway.proxy_address, gateway._public_address, auth=gateway.auth)
    take_after(again, gateway)  # what it does about logins

    async def kept() -> ClusterLogs:
        access = pool_access(again, ClientConfig.read())

        async def list_pools() -> list[Pool]:
            return await access.list(cluster)

        return chosen(await of_ended(access, cluster, list_pools), worker, cluster)

    with again:
        found: ClusterLogs = again.sync(kept)
    return found
