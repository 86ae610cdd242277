"""What notebooks for the two older `htcdaskgateway` clients write and read: Fermilab's and NCSA's.

`OlderCluster` is the base class of `HTCGatewayCluster`. Both clients have a class of that name, with other
positional arguments, and attributes that notebooks look at. What still means something is that; the rest is
accepted with a `GatewayWarning` that says what replaces it.
"""

import functools
import os
import re
import warnings
from collections.abc import Callable
from typing import Any, Final

from dask_gateway import GatewayWarning

from htcdaskgateway._config import ClientConfig
from htcdaskgateway._worker_pools.cluster import ClusterWithPools

_NCSA: Final = ("container_image", "memory", "cpus")
_FERMILAB: Final = ("image_registry", "apptainer_image", "node_match_expr")
_IMAGE: Final = re.compile(r"/|docker://|oras://|library://|osdf://")
_HOST: Final = re.compile(r"[\w-]+(\.[\w-]+)+(:[0-9]+)?")
_JOBS: Final = ("idle", "running", "held", "retiring")


def accepts_older_arguments(init: Callable[..., None]) -> Callable[..., None]:
    """`init`, which may also be called with the positional arguments of the older clients' classes."""

    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        names = _older_names(args)
        if names is None:
            return init(self, *args, **kwargs)
        if len(args) > len(names):
            raise TypeError(
                f"got {len(args)} positional arguments; after an image come {', '.join(names[1:])}"
            )
        older = dict(zip(names, args, strict=False))
        if twice := sorted(older.keys() & kwargs.keys()):
            raise TypeError(f"got {twice[0]} twice: by its position and by its name")
        return init(self, **older, **kwargs)

    return wrapped


def _older_names(args: tuple[Any, ...]) -> tuple[str, ...] | None:
    """Whose arguments these are: a path or an image's URL is no address, nor is a host without a scheme."""
    first = args[0] if args else None
    if isinstance(first, os.PathLike) or (isinstance(first, str) and _IMAGE.match(first)):
        return _NCSA
    return _FERMILAB if isinstance(first, str) and _HOST.fullmatch(first) else None


def _replaced(what: str, by: str) -> None:
    warnings.warn(GatewayWarning(f"{what} belongs to an older htcdaskgateway: {by}"), stacklevel=3)


class OlderCluster(ClusterWithPools):
    """A cluster with the older clients' attributes and methods."""

    _cluster_kwargs: dict[str, Any]

    def __dir__(self) -> list[str]:
        """Without what is here for older notebooks alone: a new one is not offered it."""
        return [name for name in super().__dir__() if name.startswith("_") or name not in vars(OlderCluster)]

    @property
    def cluster_options(self) -> Any:
        return self._cluster_options

    @property
    def image_registry(self) -> str | None:
        return self._cluster_kwargs.get("image_registry") or ClientConfig.read().image_registry

    @property
    def apptainer_image(self) -> str | None:
        return self._cluster_kwargs.get("apptainer_image") or ClientConfig.read().apptainer_image

    @property
    def container_image(self) -> Any:
        return self._cluster_kwargs.get("container_image")

    @property
    def node_match_expr(self) -> Any:
        return self._cluster_kwargs.get("node_match_expr")

    @property
    def memory(self) -> Any:
        return self._cluster_kwargs.get("memory")

    @property
    def cpus(self) -> Any:
        return self._cluster_kwargs.get("cpus")

    @property
    def worker_memory(self) -> Any:
        return self._cluster_kwargs.get("worker_memory", (self._cluster_options or {}).get("worker_memory"))

    @property
    def worker_cores(self) -> Any:
        return self._cluster_kwargs.get("worker_cores", (self._cluster_options or {}).get("worker_cores"))

    @property
    def scheduler_proxy_ip(self) -> str:
        """The host by which this notebook reaches the scheduler."""
        return str(self.gateway.proxy_address).partition("://")[2].rpartition(":")[0]

    @property
    def condor_bin_dir(self) -> str | None:
        _replaced("condor_bin_dir", "no condor command is needed here")
        return os.environ.get("CONDOR_BIN_DIR")

    @property
    def batchWorkerJobs(self) -> list[dict[str, int]]:  # noqa: N802 (their name)
        """The number of jobs of each pool, as it was when this object looked last."""
        _replaced("batchWorkerJobs", "cluster.pools and cluster.explain() know the jobs")
        pools = self._last_pools or ()
        if not self.asynchronous and self.status == "running":
            pools = tuple(self.pools)
        jobs = (sum(getattr(pool.status, state) for state in _JOBS) for pool in pools)
        return [{"n_jobs": number} for number in jobs if number]

    def scale_batch_workers(self, n: int) -> None:
        _replaced("scale_batch_workers", "cluster.scale(n) submits the jobs, and means n workers in all")

    def scale_kube_workers(self, n: int) -> None:
        _replaced("scale_kube_workers", 'new_cluster(worker_backend="kubernetes") has such workers')

    def destroy_batch_cluster_id(self, clusterid: Any) -> None:
        _replaced("destroy_batch_cluster_id", "cluster.scale(n) with fewer workers removes jobs")

    def destroy_all_batch_clusters(self) -> Any:
        _replaced("destroy_all_batch_clusters", "cluster.scale(0), which is what it does now")
        return self.scale(0)
