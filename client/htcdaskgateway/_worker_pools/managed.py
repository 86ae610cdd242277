"""`ManagedPool`: a pool that its cluster's owner can size and delete, and `new_pool`, which makes one.

Called by the cluster object for `cluster.pools` and `cluster.add_pool()`. Such a pool is a Manual one: its
number is its own, and part of what `cluster.scale()` and `adapt()` ask for in all.
"""

import asyncio
import logging
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from dask_gateway import Gateway, GatewayWarning

from htcdask_api import Template
from htcdaskgateway import _tasks
from htcdaskgateway._config import ClientConfig
from htcdaskgateway._scaling import pool_size, read_bounds
from htcdaskgateway._worker_pools.access import pool_access
from htcdaskgateway._worker_pools.keywords import read_keywords
from htcdaskgateway._worker_pools.pool import Pool

_log = logging.getLogger(__name__)

_ANSWER_SECONDS: Final = 10.0  # for one answer, after an interrupt
_NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,28}[a-z0-9])?")  # also fit for the name of a Dask resource


@dataclass(frozen=True, repr=False, kw_only=True)
class ManagedPool(Pool):
    """A pool of one's own cluster, as it was when it was asked for; its methods act on it as it is now."""

    _gateway: Gateway = field(compare=False)
    _cluster: str

    @property
    def resources(self) -> dict[str, float]:
        """For `client.submit(..., resources=pool.resources)`: such tasks run on this pool's workers alone.

        Empty for a pool whose workers have no resource of their own, such as the default one.
        """
        return {self.name: 1} if self.name in self.spec.template.resources else {}

    def scale(self, n: int) -> Any:
        """Ask for `n` workers of this pool (to be awaited if asynchronous).

        ValueError for the pool that follows `cluster.scale()`; PoolRefusedError says what else is wrong.
        """
        count = pool_size("n", n)
        if self.spec.scaling == "Gateway":
            raise ValueError(f"pool {self.name!r} follows the gateway: use cluster.scale({count})")
        return self._gateway.sync(self._access.scale, self._cluster, self.name, count)

    def delete(self) -> Any:
        """Delete this pool; its workers leave, and then it does (to be awaited if asynchronous)."""
        return self._gateway.sync(self._access.delete, self._cluster, self.name)

    @property
    def _access(self) -> Any:
        return pool_access(self._gateway, ClientConfig.read())


def managed(gateway: Gateway, cluster: str, pool: Pool) -> ManagedPool:
    """The same pool, with methods."""
    return ManagedPool(pool.name, pool.spec, pool.status, pool.created, _gateway=gateway, _cluster=cluster)


def tell_if_adapting_ends(pools: Iterable[Pool], minimum: Any, maximum: Any) -> None:
    """A GatewayWarning if adapt() within these bounds may ask for fewer workers than these Manual pools."""
    low, high = read_bounds(minimum, maximum)
    own = sum(pool.spec.replicas for pool in pools if pool.spec.scaling == "Manual")
    if own <= min(low or 0, own if high is None else high):
        return
    text = f"adapt() ends once it asks for fewer workers than the pools of add_pool() have: {own}"
    needs = f"minimum={own}, ..." if high is None or high >= own else f"minimum={own}, maximum={own}"
    warnings.warn(GatewayWarning(f"{text}. adapt({needs}) goes on"), stacklevel=3)


def tell_if_others_leave(pools: Sequence[Pool], name: str) -> None:
    """A GatewayWarning if workers of the first pool leave for those of this new one."""
    first = next((pool for pool in pools if pool.spec.scaling == "Gateway"), None)
    if first is None or first.wanted is None:
        return
    sizes = {pool.name: pool.spec.replicas for pool in pools if pool.spec.scaling == "Manual"}
    own = sum(sizes.values())
    stay = min(first.status.replicas, max(0, first.wanted - own + sizes.get(name, 0)))  # without this pool
    leave = stay - max(0, first.wanted - own)
    if leave > 0:
        counts = f"cluster.scale() counts the workers of all pools: {leave} of pool {first.name!r} leave"
        keeps = f"cluster.scale({stay + own}) keeps them"
        warnings.warn(GatewayWarning(f"{counts} for pool {name!r}. {keeps}"), stacklevel=3)


def template_for(name: str, keywords: Mapping[str, Any]) -> Template:
    """What the workers of a new pool are: `keywords` are those of `new_cluster`, about workers.

    They offer the pool's name as a Dask resource, as often as they are said to have threads. ValueError or
    TypeError names what is wrong.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        rule = "1 to 30 of a-z, 0-9 and '-', a letter first and no '-' last"
        raise ValueError(f"name: a pool's name must be {rule}, got {name!r:.80}")
    template = read_keywords(keywords, {}, ClientConfig.read()).template
    own = {name: float(template.threads)}
    return Template(**{**template.model_dump(exclude_unset=True), "resources": {**own, **template.resources}})


async def new_pool(
    gateway: Gateway, cluster: str, name: str, replicas: int, template: Template
) -> ManagedPool:
    """Make a Manual pool; PoolRefusedError says what is wrong with it, before it is made if that is known.

    Its image is, if neither the template nor a profile may say one, that of the cluster's oldest pool: all
    workers of a cluster need the same Python.
    """
    access = pool_access(gateway, ClientConfig.read())
    if template.container_image is None and template.profile is None:
        image = _image_of(await access.list(cluster))
        template = template.model_copy(update={"container_image": image} if image else {})
    await gateway._refuse_workers(template)  # as `GatewayWithProfiles` has it
    made = asyncio.ensure_future(access.create(cluster, name, template, replicas=replicas))
    try:
        return managed(gateway, cluster, await asyncio.shield(made))
    except asyncio.CancelledError:
        await _tasks.to_the_end(_take_back(access, cluster, name, made))
        raise


async def _take_back(access: Any, cluster: str, name: str, made: "asyncio.Future[Pool]") -> None:
    """Delete the pool of who was interrupted; warn if it may stay."""
    try:
        await asyncio.wait([made], timeout=_ANSWER_SECONDS)
        if made.cancel() or made.cancelled():
            raise asyncio.TimeoutError
        if isinstance(error := made.exception(), (OSError, aiohttp.ClientError)):
            raise error
        if error is None:
            await asyncio.wait_for(access.delete(cluster, name), _ANSWER_SECONDS)
    except (Exception, asyncio.CancelledError):  # cancelled: its loop ends first
        _log.debug("Pool %s of cluster %s could not be taken back", name, cluster, exc_info=True)
        _log.warning(
            "This was interrupted, and pool %s of cluster %s may be there, and stay: look at cluster.pools, "
            "and end it by its delete()",
            name,
            cluster,
        )


def _image_of(pools: Sequence[Pool]) -> str | None:
    images = (pool.spec.template.container_image for pool in pools)
    return next((image for image in images if image is not None), None)
