"""`HTCGateway` and `HTCGatewayCluster`: dask-gateway's own client, whose clusters have HTCondor workers.

Called by users. Both promise the signatures, the exceptions and the sync and async manners of dask-gateway's
`Gateway` and `GatewayCluster`. What is added hangs on `_submit`, which every way to make a cluster uses, and
on base classes. The two classes make each other, so they share one module, as in `dask_gateway.client`.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Collection
from functools import partial
from typing import Any

import aiohttp
from dask_gateway import Gateway, GatewayCluster
from distributed import Client

from htcdask_api.names import WORKER_BACKEND_HTCONDOR, WORKER_BACKEND_OPTION
from htcdaskgateway import _answers, _exit, _tasks
from htcdaskgateway._auth import UNSENDABLE, check_address, choose_auth, without_blanks, without_credentials
from htcdaskgateway._config import ClientConfig
from htcdaskgateway._credentials.cluster import ClusterWithCredentials
from htcdaskgateway._doctor.method import ExaminedGateway
from htcdaskgateway._errors import gateway_away, login_refused, name_wanted, refuse_others
from htcdaskgateway._kind import take_after
from htcdaskgateway._scaling import adaptive_bounds, worker_count
from htcdaskgateway._stopping import until_taken
from htcdaskgateway._worker_pools.creation import create_default_pool
from htcdaskgateway._worker_pools.new_cluster import GatewayWithKeywords
from htcdaskgateway._worker_pools.offer_route import GatewayWithProfiles
from htcdaskgateway._worker_pools.older import OlderCluster, accepts_older_arguments
from htcdaskgateway._worker_pools.submission import Submission
from htcdaskgateway._worker_pools.waiting import refuse_unknown


class HTCGateway(ExaminedGateway, GatewayWithKeywords["HTCGatewayCluster"], GatewayWithProfiles):
    """A client for a Dask Gateway server whose clusters get their workers from HTCondor.

    Everything that `dask_gateway.Gateway` takes and does, with HTCondor workers. On a JupyterHub, and where
    the site configures the gateway's address, no argument is needed.
    """

    _process: int | None = None  # which made it, and has its loop
    _stopped_clusters: Collection[str] = ()  # by this object
    _submitted_clusters: Collection[str] = ()

    def __init__(
        self,
        address: str | None = None,
        proxy_address: str | int | None = None,
        public_address: str | None = None,
        auth: Any = None,
        asynchronous: bool = False,
        loop: Any = None,
    ) -> None:
        auth = choose_auth(address, auth)
        check_address(address)
        super().__init__(
            address=without_blanks(address, "address"),
            proxy_address=without_blanks(proxy_address, "proxy-address"),
            public_address=without_blanks(public_address, "public-address"),
            auth=auth,
            asynchronous=asynchronous,
            loop=loop,
        )
        self._process = os.getpid()
        if not asynchronous:
            _exit.close_gateway_at_exit(self)

    def __repr__(self) -> str:
        return f"HTCGateway<{without_credentials(self.address)}>"

    def sync(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        """Run `func` in this gateway's loop; who interrupts it waits until what it made is taken back."""
        call = func(*args, **kwargs)
        return call if self.asynchronous else _exit.run_interruptibly(call, self.loop.asyncio_loop)

    def close(self) -> Any:
        """Close the gateway client; harmless if it is closed already."""
        # dask-gateway closes again when the object is collected, and fails if its loop has stopped by then.
        # That may happen in the loop's own thread, which would wait for itself for ever.
        if self.asynchronous:
            return super().close()
        if self._process in (None, os.getpid()) and self._loop_runner.is_started():
            if not self._runs_here():
                return super().close()
            self.loop.add_callback(self._cleanup)
        return None

    def _runs_here(self) -> bool:
        """Whether this is called in the thread of its own loop."""
        running = asyncio._get_running_loop()
        return self._loop_runner.is_started() and running is self.loop.asyncio_loop

    def _make_cluster(self, **kwargs: Any) -> HTCGatewayCluster:
        cluster: HTCGatewayCluster = HTCGatewayCluster._made_by(self, **kwargs)
        return cluster

    def connect(self, cluster_name: str, shutdown_on_close: bool = False) -> HTCGatewayCluster:
        """Connect to a cluster that was made before; creates nothing."""
        if not isinstance(cluster_name, str) or not cluster_name:
            raise name_wanted(cluster_name)
        return self._make_cluster(name=cluster_name, shutdown_on_close=shutdown_on_close)

    def scale_cluster(self, cluster_name: str, n: int, worker_type: Any = None, **kwargs: Any) -> Any:
        """Scale a cluster to `n` workers. `worker_type` is accepted for older code, and means nothing."""
        return self.sync(self._scale_cluster, cluster_name, n, **kwargs)

    async def _wait_for_start(self, cluster_name: str) -> Any:
        if cluster_name not in self._submitted_clusters:
            await refuse_unknown(self, cluster_name)
        return await super()._wait_for_start(cluster_name)

    async def _stop_cluster(self, cluster_name: str) -> None:
        await until_taken(partial(super()._stop_cluster, cluster_name))
        self._stopped_clusters = {*self._stopped_clusters, cluster_name}

    async def _scale_cluster(self, cluster_name: str, n: int, **others: Any) -> None:
        refuse_others("scale", others, ("n",))
        await super()._scale_cluster(cluster_name, worker_count("n", n))

    async def _adapt_cluster(
        self,
        cluster_name: str,
        minimum: int | None = None,
        maximum: int | None = None,
        active: bool = True,
        **others: Any,
    ) -> None:
        refuse_others("adapt", others, ("minimum", "maximum", "active"))
        low, high = adaptive_bounds(minimum, maximum)
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
        chosen = self._config_cluster_options() if cluster_options is None else cluster_options
        offered = await super()._cluster_options(use_local_defaults=False)
        submission = Submission.read(chosen, kwargs, offered, config)
        options = submission.options_for(offered, without_credentials(self.address))
        await self._refuse_early(submission)
        cluster = await _exit.submitted(self, super()._submit(cluster_options, **options))
        self._submitted_clusters = {*self._submitted_clusters, cluster}
        if submission.is_htcondor:
            await create_default_pool(self, cluster, submission.template, config)
        return cluster

    async def _request(self, method: str, url: str, json: Any = None) -> Any:
        _answers.hide_proxy_password(self._request_kwargs)
        try:
            response = await super()._request(method, url, json=json)
        except aiohttp.ClientResponseError as error:
            _answers.forget_credentials(error)
            if error.status not in (401, 403):
                raise
            raise login_refused(error, without_credentials(self.address), self.auth) from None
        except aiohttp.InvalidURL:
            wrong: ValueError = aiohttp.InvalidURL(without_credentials(url))
        except UnicodeError:  # whose text and value are the password
            wrong = ValueError(UNSENDABLE)
        except ValueError as error:
            answer = _answers.answer_behind(error)
            if answer is None:
                raise
            if await _answers.is_gateways_own(answer):
                _answers.mark_as_own(error)
                raise
            wrong = gateway_away(without_credentials(self.address), answer.status, str(error))
        else:
            _answers.forget_question(response)
            return response
        raise wrong  # here, as an error that is raised while another is handled keeps that one


class HTCGatewayCluster(OlderCluster, ClusterWithCredentials):
    """A dask-gateway cluster with HTCondor workers.

    Takes what `dask_gateway.GatewayCluster` takes, and the keywords of `HTCGateway.new_cluster`.
    """

    __init__ = accepts_older_arguments(GatewayCluster.__init__)

    _parent: HTCGateway | None = None
    _ending: asyncio.Future[None] | None = None
    _process: int | None = None
    _is_new = False  # this object has asked for its cluster

    @classmethod
    def _made_by(cls, gateway: HTCGateway, **kwargs: Any) -> HTCGatewayCluster:
        """The cluster object of `gateway`'s own server; `kwargs` as for `_init_internal`."""
        cluster: HTCGatewayCluster = object.__new__(cls)  # as GatewayCluster.from_name does
        cluster._parent = gateway
        cluster._init_internal(
            address=gateway.address,
            proxy_address=gateway.proxy_address,
            public_address=gateway._public_address,
            auth=gateway.auth,
            asynchronous=gateway.asynchronous,
            loop=gateway.loop,
            **kwargs,
        )
        return cluster

    def _init_internal(self, **kwargs: Any) -> None:
        kwargs["auth"] = choose_auth(kwargs.get("address"), kwargs.get("auth"))
        check_address(kwargs.get("address"))
        for name in ("address", "proxy_address", "public_address"):
            kwargs[name] = without_blanks(kwargs.get(name), name.replace("_", "-"))
        try:
            super()._init_internal(**kwargs)
        except BaseException as error:
            _exit.give_up(self, interrupted=not isinstance(error, Exception))
            raise

    def close(self, shutdown: bool | None = None) -> Any:
        """Close this object, and shut the cluster down if `shutdown`, or as `shutdown_on_close` says."""
        if self.asynchronous:
            return super().close(shutdown)
        if self._process not in (None, os.getpid()):
            return None  # a forked child has the object, and not the loop
        if asyncio._get_running_loop() is None or not self.gateway._runs_here():
            return super().close(shutdown)
        # By Client.shutdown(), which means scheduler and workers and awaits what comes back, or by
        # the garbage collector: a call that blocks would wait for its own loop for ever.
        caller = inspect.currentframe()
        if caller and caller.f_back and caller.f_back.f_code is Client._shutdown.__code__:
            shutdown = True
        self._ending = asyncio.ensure_future(self._stop_internal(shutdown=shutdown))
        return self._ending

    async def _start_async(self) -> None:
        self._is_new = self.status == "created"
        try:
            await super()._start_async()
        except asyncio.CancelledError:
            # Nobody gets this object, or its name: whatever was to become of the cluster, it is not to go on.
            if self._is_new:
                self.shutdown_on_close = True
            raise

    async def _stop_internal(self, shutdown: bool | None = None) -> None:
        """As dask-gateway has it; whoever cancels it, such as by Ctrl-C, leaves no cluster running either."""
        try:
            await super()._stop_internal(shutdown)
        except asyncio.CancelledError:
            await _tasks.to_the_end(
                self._finish_stop(self.shutdown_on_close if shutdown is None else shutdown)
            )
            raise

    async def _finish_stop(self, shutdown: bool) -> None:
        if shutdown and self.name is not None and not self.is_shutdown:
            await _exit.stop(self.gateway, self.name)
        await self.gateway._cleanup()

    @property
    def gateway(self) -> HTCGateway:
        """The gateway that this cluster belongs to."""
        return self._gateway

    @gateway.setter
    def gateway(self, gateway: Gateway) -> None:
        # GatewayCluster names its own class where it makes this. Ours has more methods and the same state.
        if type(gateway) is Gateway:
            if self._parent is None:
                gateway.__class__ = HTCGateway
            else:
                take_after(gateway, self._parent)
        self._gateway: HTCGateway = gateway
        self._process = gateway._process = os.getpid()
        if not gateway.asynchronous:
            _exit.close_gateway_at_exit(gateway)
            _exit.close_cluster_at_exit(self)
