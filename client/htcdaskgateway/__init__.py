"""Dask clusters with HTCondor workers: `dask_gateway.Gateway` and `GatewayCluster`, plus worker pools.

`_client` holds what must equal dask-gateway's own classes, `_worker_pools` what is added to them, and
`_credentials` what brings a notebook's credentials to its workers. Beside them: `_auth` (which credential
goes where), `_config` (what a site may set), `_scaling` (numbers of workers), `_exit` (a script that just
ends, or is interrupted), `_tasks` (how one ends), `_doctor` (what is broken), `_versions` (what differs
between notebook and cluster), `_kind` (of which class a second gateway is) and `_errors`. The names below are
the whole public surface: ours, and those of dask_gateway that a script imports beside its gateway.
"""

from importlib.metadata import version as _version

from dask_gateway import (
    BasicAuth,
    GatewayClusterError,
    GatewayServerError,
    GatewayWarning,
    JupyterHubAuth,
    KerberosAuth,
    Options,
)

from htcdaskgateway import _config as _config  # defaults for dask's configuration
from htcdaskgateway._client import HTCGateway, HTCGatewayCluster
from htcdaskgateway._errors import (
    ClusterStartTimeoutError,
    ExtensionMissingError,
    GatewayAwayError,
    HTCDaskError,
    PoolRefusedError,
    PoolsNotThereError,
    PoolStalledError,
)
from htcdaskgateway._worker_pools.explanation import ClusterExplanation
from htcdaskgateway._worker_pools.pool import Pool
from htcdaskgateway._worker_pools.profiles import Profile, Profiles

__version__ = _version("htcdask")

__all__ = [
    "BasicAuth",
    "ClusterExplanation",
    "ClusterStartTimeoutError",
    "ExtensionMissingError",
    "GatewayAwayError",
    "GatewayClusterError",
    "GatewayServerError",
    "GatewayWarning",
    "HTCDaskError",
    "HTCGateway",
    "HTCGatewayCluster",
    "JupyterHubAuth",
    "KerberosAuth",
    "Options",
    "Pool",
    "PoolRefusedError",
    "PoolStalledError",
    "PoolsNotThereError",
    "Profile",
    "Profiles",
]
