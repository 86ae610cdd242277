"""`GatewayWithKeywords`: `new_cluster` with the keywords of our workers, as a user reads and completes them.

A base class of `HTCGateway`. What the keywords mean is in `keywords`; here each is listed once, with a line.
"""

import os
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from dask_gateway import Gateway

from htcdaskgateway._worker_pools.keywords import KEYWORDS

Cluster = TypeVar("Cluster")


class GatewayWithKeywords(Gateway, Generic[Cluster]):  # type: ignore[misc]
    """A gateway whose new clusters can be told what their workers are."""

    def new_cluster(
        self,
        cluster_options: Any = None,
        shutdown_on_close: bool = True,
        container_image: str | os.PathLike[str] | None = None,
        memory: float | str | None = None,
        cpus: int | None = None,
        *,
        image: str | None = None,
        apptainer_image: str | None = None,
        image_registry: str | None = None,
        worker_cores: int | None = None,
        worker_memory: float | str | None = None,
        worker_threads: int | None = None,
        worker_disk: float | str | None = None,
        worker_gpus: int | None = None,
        worker_nanny: bool | None = None,
        worker_resources: Mapping[str, float] | None = None,
        max_runtime: float | str | None = None,
        node_match_expr: str | None = None,
        environment: Mapping[str, Any] | None = None,
        profile: str | None = None,
        **kwargs: Any,
    ) -> Cluster:
        """Submit a new cluster, wait for its scheduler, and give it a pool of HTCondor workers.

        Parameters
        ----------
        cluster_options : dask_gateway.options.Options, optional
            The gateway's own options, from `cluster_options()`.
        shutdown_on_close : bool, optional
            Shut the cluster down when it is closed (the default).
        image : str, optional
            The scheduler's image, if the gateway offers the option `image`.
        container_image : str, optional
            The workers' image: an absolute path as the execute node sees it, or a docker:// or oras:// URL.
        memory, cpus : optional
            NCSA's words for `worker_memory` (in HTCondor's units) and `worker_cores`.
        apptainer_image, image_registry : str, optional
            One image for both: `registry/name` for the scheduler, and where the site unpacks it for workers.
        worker_cores : int, optional
            Cores of one worker, which is one HTCondor job.
        worker_memory, worker_disk : float or str, optional
            GiB of one worker, or a size such as "4Gi" or "8 GB".
        worker_threads : int, optional
            Threads of one worker; 1 unless asked for, since much scientific code is not thread safe.
        worker_gpus : int, optional
            GPUs of one worker.
        worker_nanny : bool, optional
            Whether a nanny restarts a worker that exceeds its memory (the default).
        worker_resources : dict, optional
            Abstract resources for dask, such as {"GPU": 1}.
        max_runtime : int, optional
            The longest life of one worker, in seconds or such as "1h"; it retires in time and is replaced.
        node_match_expr : str, optional
            "rank = <ClassAd expression>" or "requirements = <ClassAd expression>", one a line.
        environment : dict, optional
            Environment variables of the workers.
        profile : str, optional
            A kind of worker that the site has a name for; `profiles()` shows them.
        **kwargs :
            The gateway's own cluster options, as for `dask_gateway.Gateway.new_cluster`.
        """
        keywords = {name: value for name, value in locals().items() if name in KEYWORDS and value is not None}
        return self._make_cluster(
            cluster_options=cluster_options,
            cluster_kwargs={**keywords, **kwargs},
            shutdown_on_close=shutdown_on_close,
        )

    def _make_cluster(self, **kwargs: Any) -> Cluster:
        """The cluster object: the classes of gateway and cluster know each other, and this module neither."""
        raise NotImplementedError
