"""`ClusterWithPools`: dask-gateway's cluster object, which also shows its worker pools.

The base class of `HTCGatewayCluster`. Adds `pools`, `add_pool()`, `explain()`, `logs()`, a wait that says
for what, and the pools in the widget; changes nothing of what `dask_gateway.GatewayCluster` does.
"""

import asyncio
import os
import warnings
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from dask_gateway import GatewayClusterError, GatewayServerError, GatewayWarning
from dask_gateway.client import ClusterReport, ClusterStatus

from htcdask_api import Template, names
from htcdaskgateway._answers import is_unknown
from htcdaskgateway._config import ClientConfig
from htcdaskgateway._errors import (
    ClusterStartTimeoutError,
    PoolsNotThereError,
    PoolStalledError,
    refuse_others,
)
from htcdaskgateway._scaling import pool_size
from htcdaskgateway._versions import Versions, of_cluster
from htcdaskgateway._worker_pools import creation, managed, progress, stalls, waiting
from htcdaskgateway._worker_pools import explanation as told
from htcdaskgateway._worker_pools.access import pool_access
from htcdaskgateway._worker_pools.adapting import Adapting
from htcdaskgateway._worker_pools.closed import closed_here, logs_kept
from htcdaskgateway._worker_pools.display import ClusterOnDisplay
from htcdaskgateway._worker_pools.explanation import ClusterExplanation
from htcdaskgateway._worker_pools.keywords import KEYWORDS, SYNONYMS
from htcdaskgateway._worker_pools.logs import LINES, ClusterLogs, chosen, line_count, of_ended, of_running
from htcdaskgateway._worker_pools.pool import Pool, follower_missing

_ASK_SECONDS: Final = 10.0
_WORD_SECONDS: Final = 3.0  # that a client which works may be held up for a word about its cluster


class ClusterWithPools(ClusterOnDisplay):
    """A cluster whose workers come from worker pools."""

    _bounds: tuple[Any, Any] | None = None  # of adapt(), where this object called it last

    @property
    def pools(self) -> Any:
        """The cluster's worker pools, oldest first, as they are now (to be awaited if asynchronous)."""
        return self.gateway.sync(self._managed_pools)

    def add_pool(
        self,
        name: str,
        replicas: int = 0,
        *,
        profile: str | None = None,
        container_image: str | os.PathLike[str] | None = None,
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
        **others: Any,
    ) -> Any:
        """Add a pool of `replicas` workers of another kind (to be awaited if asynchronous).

        They are part of what `scale(n)` and `adapt()` ask for: the first pool gets the rest.
        The keywords are those of `new_cluster`. The pool has `scale(n)` and `delete()`, and its workers the
        Dask resource `name`: `client.submit(f, x, resources=pool.resources)` runs on them alone.
        """
        words = {word: value for word, value in vars().copy().items() if word not in ("self", "others")}
        typed = {**words, **{word: others.pop(word) for word in SYNONYMS if word in others}}
        refuse_others("add_pool", others, words, "replicas")
        given = {key: value for key, value in typed.items() if key in KEYWORDS and value is not None}
        template, count = managed.template_for(name, given), pool_size("replicas", replicas)
        return self.gateway.sync(self._new_pool, name, count, template)

    async def _new_pool(self, name: str, count: int, template: Template) -> managed.ManagedPool:
        made = await managed.new_pool(self.gateway, self.name, name, count, template)
        await waiting.look(self._list_pools, _WORD_SECONDS)  # adapt() and repr go by what was seen last
        if self._bounds is not None:
            managed.tell_if_adapting_ends(self._last_pools or (), *self._bounds)
        else:
            managed.tell_if_others_leave(self._last_pools or (), name)
        return made

    def scale(self, n: int, **kwargs: Any) -> Any:
        """Ask for `n` workers, and end adapt() (to be awaited if asynchronous)."""
        self._bounds = None
        if follower_missing(self._last_pools or ()):
            _warn(told.NOBODY_FOLLOWS)
        return super().scale(n, **kwargs)

    def adapt(self, minimum: Any = None, maximum: Any = None, active: bool = True, **kwargs: Any) -> Any:
        """Follow the work with `minimum` to `maximum` workers (to be awaited if asynchronous)."""
        self._bounds = (minimum, maximum) if active else None
        if active:
            managed.tell_if_adapting_ends(self._last_pools or (), minimum, maximum)
        answer = super().adapt(minimum=minimum, maximum=maximum, active=active, **kwargs)
        is_here = asyncio.iscoroutine(answer) and self.gateway._runs_here()  # or a widget hands it over
        return Adapting(answer, minimum, maximum) if is_here else answer

    @property
    def is_shutdown(self) -> bool:
        """Whether the gateway has taken this object's word that the cluster ends."""
        return self.name in getattr(self.gateway, "_stopped_clusters", ())

    def wait_for_workers(self, n_workers: int, timeout: Any = None) -> Any:
        """Wait for so many workers (to be awaited if asynchronous), and say meanwhile what they wait for.

        `client.wait_for_workers()` is this, for every client of this cluster. TimeoutError after `timeout`
        (seconds, or such as "5 minutes"); PoolStalledError as soon as none will come, with the reason: where
        workers kept failing before this was called, once another one has failed.
        """
        self._refuse_closed()
        if self.gateway._runs_here():  # by an asynchronous client of a cluster that is not
            return self._wait_for_workers(n_workers, timeout)
        return self.gateway.sync(self._wait_for_workers, n_workers, timeout)

    def get_client(self, set_as_default: bool = True) -> Any:
        """A `Client` of this cluster. A GatewayWarning says if no worker will come to it.

        GatewayClusterError or ValueError if the cluster has ended (if asynchronous, the client waits for it).
        """
        self._refuse_closed()
        if not self.asynchronous and not self.gateway._runs_here():
            self.gateway.sync(self._refuse_ended)
        client = super().get_client(set_as_default=set_as_default)
        if self.asynchronous or self.gateway._runs_here():
            self._telling = asyncio.ensure_future(self._tell_if_in_vain())
        else:
            self.gateway.sync(self._tell_if_in_vain)
        return client

    def explain(self) -> Any:
        """Where the HTCondor workers are, and why the missing ones are missing.

        The answer prints as text, shows as HTML in a notebook, and is data by `.to_dict()` (to be awaited if
        asynchronous).
        """
        if not self.asynchronous and not self.gateway._loop_runner.is_started():
            said = told.SHUT_DOWN if self.is_shutdown else self._end or told.CLOSED
            return ClusterExplanation(self.name, (), said)
        return self.gateway.sync(self._explain)

    def logs(self, lines: int = LINES, worker: str | None = None) -> Any:
        """The last lines of the scheduler, of workers that run, and of those that ended lately, by name.

        `lines`: of each that runs. `worker`: of this one alone, by name or address; HTCDaskError if it has
        none. A dict of texts, with HTML in a notebook (to be awaited if asynchronous).
        """
        count, name = line_count(lines), self._addresses.name(worker)
        if not self.asynchronous and not self.gateway._loop_runner.is_started():
            return logs_kept(self.gateway, self.name, name)
        return self.gateway.sync(self._logs, count, name)

    async def _start_async(self) -> None:
        is_new = self.name is None
        try:
            start = super()._start_async()
            await waiting.for_scheduler(start, self._list_pools, lambda: self.name, is_new=is_new)
        except (ClusterStartTimeoutError, PoolStalledError) as error:
            # Who connects to such a cluster, perhaps to end it, did not make it.
            if not is_new or self.name is None:
                raise
            outcome = await creation.stop(self.gateway, self.name)
            raise type(error)(f"{error} {outcome}") from None
        if self.status == "running" and not self.scheduler_info:  # its scheduler did not answer
            await self._refuse_ended()
            _warn(told.out_of_reach(self.name, self.scheduler_address))

    async def _wait_for_workers(self, n: int, timeout: Any) -> None:
        asks = self._list_pools, self._how_it_ended
        await waiting.for_workers(self.scheduler_comm, n, timeout, self.name, *asks)
        await self._ask_who_is_there()
        await waiting.look(self._list_pools, _WORD_SECONDS)  # repr goes by what was seen last

    async def _tell_if_in_vain(self) -> None:
        pools = await waiting.look(self._list_pools, _WORD_SECONDS)
        why = stalls.in_vain(self.name, pools or ())
        if why is not None:
            _warn(why)

    async def _list_pools(self) -> list[Pool]:
        pools = await pool_access(self.gateway, ClientConfig.read()).list(self.name)
        self._saw(pools)
        if self._ended is None and stalls.cluster_has_ended(pools):  # by somebody else
            self._learn_end("ended", told.ENDED)
        return pools

    async def _managed_pools(self) -> list[managed.ManagedPool]:
        return [managed.managed(self.gateway, self.name, pool) for pool in await self._list_pools()]

    async def _explain(self) -> ClusterExplanation:
        try:
            report = await self.gateway._cluster_report(self.name)
        except ValueError as error:
            if not is_unknown(error):
                raise
            self._learn_end("ended", told.UNKNOWN)
            return ClusterExplanation(self.name, (), told.UNKNOWN)
        backend = report.options.get(names.WORKER_BACKEND_OPTION)
        situation = None if backend in (None, names.WORKER_BACKEND_HTCONDOR) else told.KUBERNETES
        ended = self._end_in(report)
        asking = asyncio.ensure_future(self._compare_versions(report.status))
        try:
            pools, situation = tuple(await self._list_pools()), ended or situation
        except PoolsNotThereError:
            pools = ()
            situation = ended or situation or (told.NO_EXTENSION if backend is None else told.NO_POOLS_SHOWN)
        finally:
            versions = await asking  # bounded
        return ClusterExplanation(self.name, pools, situation, versions)

    async def _compare_versions(self, status: ClusterStatus) -> Versions | None:
        if status != ClusterStatus.RUNNING or not self._has_scheduler:
            return None
        if not await self._ask_who_is_there():  # and it is not waited for a second time
            return Versions((), None)
        return await of_cluster(self.scheduler_comm, self.scheduler_info["workers"])

    def _refuse_closed(self) -> None:
        if self.status in ("closing", "closed"):
            raise closed_here(self.name, told.SHUT_DOWN if self.is_shutdown else self._end)

    async def _refuse_ended(self) -> None:
        """Or a client would wait for half a minute for a scheduler that is not there any more."""
        try:
            report = await asyncio.wait_for(self.gateway._cluster_report(self.name), _ASK_SECONDS)
        except (OSError, asyncio.TimeoutError, GatewayServerError, aiohttp.ClientError):
            return  # the scheduler may be there without its gateway
        if ended := self._end_in(report):
            raise GatewayClusterError(f"Cluster {self.name} is not running: {ended}")

    async def _how_it_ended(self) -> str | None:
        """A sentence, if the gateway says so, or does not know the cluster any more."""
        try:
            report = await asyncio.wait_for(self.gateway._cluster_report(self.name), _ASK_SECONDS)
        except Exception as error:  # whoever waits goes on waiting
            if not isinstance(error, ValueError) or not is_unknown(error):
                return None
            self._learn_end("ended", told.UNKNOWN)
            return told.UNKNOWN
        return self._end_in(report)

    def _end_in(self, report: ClusterReport) -> str | None:
        """A sentence, if the gateway reports that the cluster has ended."""
        if report.status <= ClusterStatus.RUNNING:
            return None
        ended = f"the cluster has ended ({report.status.name}), and its jobs with it"
        self._learn_end(report.status.name.lower(), ended)
        return ended

    async def _logs(self, lines: int, worker: str | None) -> ClusterLogs:
        found = await of_ended(pool_access(self.gateway, ClientConfig.read()), self.name, self._list_pools)
        try:
            await self._refuse_ended()
        except GatewayClusterError:
            return chosen(found, worker, self.name)  # nobody is there to be asked
        if self._has_scheduler:
            await self._ask_who_is_there()
        workers = self.scheduler_info.get("workers", {})
        if self._has_scheduler:
            found = {**await of_running(self.scheduler_comm, workers, lines, worker), **found}
        return chosen(found, worker, self.name, [str(its.get("name")) for its in workers.values()])


def _warn(text: str) -> None:
    warnings.warn(GatewayWarning(progress.plain(text, 4096)), stacklevel=3)
