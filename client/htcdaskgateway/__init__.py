"""Dask clusters with HTCondor workers: `dask_gateway.Gateway` and `GatewayCluster`, plus worker pools.

`_client` holds what must equal dask-gateway's own classes, `_worker_pools` what is added to them. Beside
them: `_auth` (which credential goes where), `_config` (what a site may set) and `_errors`. The names below
are the whole public surface.
"""

from htcdaskgateway import _config as _config  # defaults for dask's configuration
from htcdaskgateway._client import HTCGateway, HTCGatewayCluster
from htcdaskgateway._errors import ExtensionMissingError, HTCDaskError, PoolRefusedError
from htcdaskgateway._worker_pools.explanation import ClusterExplanation
from htcdaskgateway._worker_pools.pool import Pool

__all__ = [
    "ClusterExplanation",
    "ExtensionMissingError",
    "HTCDaskError",
    "HTCGateway",
    "HTCGatewayCluster",
    "Pool",
    "PoolRefusedError",
]
