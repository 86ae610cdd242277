"""`HTCGateway`: dask-gateway's own client, whose clusters have HTCondor workers.

Called by users. Promises the signatures, the exceptions and the sync and async manners of
`dask_gateway.Gateway`; what is added hangs on one method, `_submit`, which every way to make a cluster uses.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import aiohttp
from dask_gateway import Gateway

from htcdask_api import Template
from htcdask_api.names import WORKER_BACKEND_HTCONDOR, WORKER_BACKEND_OPTION

from ._auth import choose_auth, shown
from ._config import ClientConfig
from ._errors import PoolRefusedError, extension_missing, option_missing
from ._keywords import KEYWORDS, read_keywords
from ._kubernetes import KubernetesPools
from ._pools import DEFAULT_POOL, Pool, PoolAccess
from ._route import RoutePools
from ._undo import undo

if TYPE_CHECKING:
    from ._cluster import HTCGatewayCluster


class HTCGateway(Gateway):  # type: ignore[misc]
    """A client for a Dask Gateway server whose clusters get their workers from HTCondor.

    Everything that `dask_gateway.Gateway` takes and does, with HTCondor workers. On a JupyterHub, and where
    the site configures the gateway's address, no argument is needed.
    """

    def __init__(
        self,
        address: str | None = None,
        proxy_address: str | int | None = None,
        public_address: str | None = None,
        auth: Any = None,
        asynchronous: bool = False,
        loop: Any = None,
    ) -> None:
        super().__init__(
            address=address,
            proxy_address=proxy_address,
            public_address=public_address,
            auth=choose_auth(address, auth),
            asynchronous=asynchronous,
            loop=loop,
        )

    def __repr__(self) -> str:
        return f"HTCGateway<{shown(self.address)}>"

    def close(self) -> Any:
        """Close the gateway client; harmless if it is closed already."""
        # dask-gateway closes again when the object is collected, and fails if its loop has stopped by then.
        return super().close() if self.asynchronous or self._loop_runner.is_started() else None

    def new_cluster(
        self,
        cluster_options: Any = None,
        shutdown_on_close: bool = True,
        *,
        image: str | None = None,
        container_image: str | None = None,
        apptainer_image: str | None = None,
        image_registry: str | None = None,
        worker_cores: int | None = None,
        worker_memory: float | str | None = None,
        worker_threads: int | None = None,
        worker_disk: float | str | None = None,
        worker_gpus: int | None = None,
        worker_nanny: bool | None = None,
        worker_resources: Mapping[str, float] | None = None,
        max_runtime: int | None = None,
        node_match_expr: str | None = None,
        environment: Mapping[str, str] | None = None,
        profile: str | None = None,
        **kwargs: Any,
    ) -> HTCGatewayCluster:
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
        apptainer_image, image_registry : str, optional
            One image for both: `registry/name` for the scheduler, and where the site unpacks it for workers.
        worker_cores : int, optional
            Cores of one worker, which is one HTCondor job.
        worker_memory, worker_disk : float or str, optional
            GiB of one worker, or a quantity such as "4Gi".
        worker_threads : int, optional
            Threads of one worker; 1 unless asked for, since much scientific code is not thread safe.
        worker_gpus : int, optional
            GPUs of one worker.
        worker_nanny : bool, optional
            Whether a nanny restarts a worker that exceeds its memory (the default).
        worker_resources : dict, optional
            Abstract resources for dask, such as {"GPU": 1}.
        max_runtime : int, optional
            The longest life of one worker, in seconds; it retires in time and is replaced.
        node_match_expr : str, optional
            "rank = <ClassAd expression>" or "requirements = <ClassAd expression>", one a line.
        environment : dict, optional
            Environment variables of the workers.
        profile : str, optional
            A kind of worker that the site has a name for.
        **kwargs :
            The gateway's own cluster options, as for `dask_gateway.Gateway.new_cluster`.
        """
        keywords = {name: value for name, value in locals().items() if name in KEYWORDS and value is not None}
        cluster: HTCGatewayCluster = _cluster_class()(
            address=self.address,
            proxy_address=self.proxy_address,
            public_address=self._public_address,
            auth=self.auth,
            asynchronous=self.asynchronous,
            loop=self.loop,
            cluster_options=cluster_options,
            shutdown_on_close=shutdown_on_close,
            **keywords,
            **kwargs,
        )
        return cluster

    def connect(self, cluster_name: str, shutdown_on_close: bool = False) -> HTCGatewayCluster:
        """Connect to a cluster that was made before; creates nothing."""
        cluster: HTCGatewayCluster = _cluster_class().from_name(
            cluster_name,
            shutdown_on_close=shutdown_on_close,
            address=self.address,
            public_address=self._public_address,
            proxy_address=self.proxy_address,
            auth=self.auth,
            asynchronous=self.asynchronous,
            loop=self.loop,
        )
        return cluster

    def scale_cluster(self, cluster_name: str, n: int, worker_type: Any = None, **kwargs: Any) -> Any:
        """Scale a cluster to `n` workers. `worker_type` is accepted for older code, and means nothing."""
        return self.sync(self._scale_cluster, cluster_name, n, **kwargs)

    async def _scale_cluster(self, cluster_name: str, n: int) -> None:
        await super()._scale_cluster(cluster_name, _count("n", n))

    async def _adapt_cluster(
        self, cluster_name: str, minimum: int | None = None, maximum: int | None = None, active: bool = True
    ) -> None:
        low = None if minimum is None else _count("minimum", minimum)
        high = None if maximum is None else _count("maximum", maximum)
        if low is not None and high is not None and low > high:
            raise ValueError(f"minimum must not exceed maximum, got minimum={low} and maximum={high}")
        await super()._adapt_cluster(cluster_name, minimum=low, maximum=high, active=active)

    async def _cluster_options(self, use_local_defaults: bool = True) -> Any:
        options = await super()._cluster_options(use_local_defaults=use_local_defaults)
        local = self._config_cluster_options() if use_local_defaults else {}
        if WORKER_BACKEND_OPTION in options and WORKER_BACKEND_OPTION not in local:
            options[WORKER_BACKEND_OPTION] = WORKER_BACKEND_HTCONDOR
        return options

    async def _submit(self, cluster_options: Any = None, **kwargs: Any) -> str:
        """What `submit`, `new_cluster` and `HTCGatewayCluster(...)` come down to.

        Whatever can be wrong is found before the cluster is made; a pool that is refused stops the cluster.
        """
        config = ClientConfig.read()
        chosen = _chosen(self._config_cluster_options() if cluster_options is None else cluster_options)
        keywords = {name: value for name, value in kwargs.items() if name in KEYWORDS}
        options = {name: value for name, value in kwargs.items() if name not in KEYWORDS}
        request = read_keywords(keywords, {**chosen, **options}, config)

        offered = await super()._cluster_options(use_local_defaults=False)
        backend = {**chosen, **options}.get(WORKER_BACKEND_OPTION, WORKER_BACKEND_HTCONDOR)
        if WORKER_BACKEND_OPTION not in offered:
            raise extension_missing(shown(self.address), WORKER_BACKEND_OPTION)
        options.update(request.told(offered), **{WORKER_BACKEND_OPTION: backend})
        for name in options:
            if name not in offered:
                raise option_missing(shown(self.address), name, list(offered))
        if backend != WORKER_BACKEND_HTCONDOR:
            _no_condor_keywords(keywords, offered, backend)

        cluster: str = await super()._submit(cluster_options=cluster_options, **options)
        if backend == WORKER_BACKEND_HTCONDOR:
            await self._give_pool(cluster, request.template, config)
        return cluster

    async def _give_pool(self, cluster: str, template: Template, config: ClientConfig) -> None:
        try:
            await self._pool_access(config).create(cluster, DEFAULT_POOL, template)
        except BaseException as error:  # an interrupted notebook must leave no cluster behind either
            left = await undo(self, cluster)
            if isinstance(error, PoolRefusedError):
                raise PoolRefusedError(f"{error}. {left}") from error
            error.add_note(left)
            raise

    async def _pools(self, cluster: str) -> list[Pool]:
        return await self._pool_access(ClientConfig.read()).list(cluster)

    def _pool_access(self, config: ClientConfig) -> PoolAccess:
        return KubernetesPools(config.namespace) if config.pool_api == "kubernetes" else RoutePools(self)

    async def _request(self, method: str, url: str, json: Any = None) -> Any:
        try:
            return await super()._request(method, url, json=json)
        except aiohttp.ClientResponseError as error:
            if error.status not in (401, 403):
                raise
            who = f"user {self.auth.username!r}" if hasattr(self.auth, "username") else "this user"
            what = (
                "did not accept the password or token of" if error.status == 401 else "does not allow this to"
            )
            message = f"the gateway at {shown(self.address)} {what} {who} ({type(self.auth).__name__})"
            raise aiohttp.ClientResponseError(
                error.request_info, error.history, status=error.status, message=message, headers=error.headers
            ) from None


def _cluster_class() -> Any:
    from ._cluster import HTCGatewayCluster  # it builds on this module

    return HTCGatewayCluster


def _chosen(options: Any) -> dict[str, Any]:
    return dict(options) if isinstance(options, Mapping) else {}  # anything else is refused by dask-gateway


def _count(name: str, value: Any) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number of workers, got {value!r}") from None
    if count < 0:
        raise ValueError(f"{name} must be a number of workers from 0, got {count}")
    return count


def _no_condor_keywords(keywords: Mapping[str, Any], offered: Mapping[str, Any], backend: Any) -> None:
    for name, value in keywords.items():
        if value is not None and name not in offered:
            raise ValueError(f"{name} is for HTCondor workers, and {WORKER_BACKEND_OPTION} is {backend!r}")
