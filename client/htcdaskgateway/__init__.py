"""Dask clusters with HTCondor workers: `dask_gateway.Gateway` and `GatewayCluster`, plus worker pools."""

from . import _config as _config  # defaults for dask's configuration
from ._cluster import HTCGatewayCluster
from ._errors import ExtensionMissingError, HTCDaskError, PoolRefusedError
from ._explain import ClusterExplanation
from ._gateway import HTCGateway
from ._pools import Pool

__all__ = [
    "ClusterExplanation",
    "ExtensionMissingError",
    "HTCDaskError",
    "HTCGateway",
    "HTCGatewayCluster",
    "Pool",
    "PoolRefusedError",
]
