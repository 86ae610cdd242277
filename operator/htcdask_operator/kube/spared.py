"""The pools of a namespace, unless another release works for it: then they are not ours to end.

Used by `uninstall`. The second release of a namespace does nothing, and is told to go: its hook must not end
the first one's pools. Who works there is in the claim, the Lease that operators hold in each namespace. Only
the own clock counts: a claim that is renewed while we look is alive, one that is silent for its time is
nobody's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote

from htcdask_api import names
from htcdask_operator.kube import leases
from htcdask_operator.kube.draining import Held, NamespacePools
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.leases import Lease
from htcdask_operator.kube.requests import Requests

_USUAL: Final = 15  # seconds
_LONGEST: Final = 300  # an operator that waits has taken it over by then


class SparedPools:
    """The port `Pools`, for the release whose own Lease is `release` ("namespace/name")."""

    def __init__(self, requests: Requests, namespace: str, release: str, clock: Callable[[], float]) -> None:
        self._requests = requests
        self._pools = NamespacePools(requests, namespace)
        self._path = f"/apis/{leases.API_VERSION}/namespaces/{quote(namespace, safe='')}/leases/{names.CLAIM}"
        self._release = release
        self._clock = clock
        self._seen = ("", "")  # who held it, and the time that it last wrote
        self._since = 0.0
        self.left_to = ""
        """The release that works here, once it was seen to."""

    async def every(self) -> Sequence[Held]:
        return () if await self._is_anothers() else await self._pools.every()

    async def delete(self, pool: Held) -> None:
        await self._pools.delete(pool)

    async def release(self, pool: Held) -> None:
        await self._pools.release(pool)

    async def _is_anothers(self) -> bool:
        claim = await self._claim()
        whose, now = claim.holder.rpartition("/")[0], self._clock()
        if whose in ("", self._release):
            self.left_to = ""
            return False
        before, self._seen = self._seen, (claim.holder, claim.renewed)
        if before != self._seen:
            self._since = now
            if before[0] == claim.holder:
                self.left_to = whose
        if whose == self.left_to:
            return True
        if now - self._since > min(claim.seconds or _USUAL, _LONGEST):
            return False
        raise KubeError(f"GET {self._path}", f"the HTCDask release {whose} may be at work here: looking")

    async def _claim(self) -> Lease:
        try:
            return leases.read(await self._requests.send("GET", self._path))
        except KubeError as error:
            # Without the right to look there is none to delete either: it is one Role.
            if error.status in (403, 404):
                return Lease()
            raise
