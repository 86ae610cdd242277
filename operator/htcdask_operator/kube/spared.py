"""The pools of a namespace, unless another release works for it: then they are not ours to end.

Used by `uninstall`. The second release of a namespace does nothing, and is told to go: its hook must not end
the first one's pools. Who works there is in the claim, the Lease that operators hold in each namespace. Only
the own clock counts: a claim that is renewed while we look is alive, one that is silent for its time is
nobody's. The hook leaves the claim free by the same rule: its operator gives it back when it ends, and the
claim of one that died is taken from it when it is over, so that the next release need not wait for it.
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
        before = self._seen[0]
        claim, renewed = await self._look()
        whose = _release_of(claim)
        if whose in ("", self._release):
            self.left_to = ""
            return False
        if renewed and before == claim.holder:
            self.left_to = whose
        if whose == self.left_to:
            return True
        if self._left(claim) < 0:
            return False
        raise KubeError(f"GET {self._path}", f"the HTCDask release {whose} may be at work here: looking")

    async def free(self) -> float:
        """Leave the claim to the next release, if it was ours; seconds that it still lasts at most."""
        claim, _ = await self._look()
        if _release_of(claim) != self._release:
            return 0.0
        left = self._left(claim)
        if left >= 0:
            return max(left, 0.1)
        # As an operator that waited would take it: this version, which is over.
        change = {"metadata": {"resourceVersion": claim.version}, "spec": {"holderIdentity": ""}}
        await self._requests.send(
            "PATCH", self._path, body=change, content_type="application/merge-patch+json"
        )
        return 0.0

    async def _look(self) -> tuple[Lease, bool]:
        """The claim, and whether somebody has written it since the last look."""
        claim = await self._claim()
        before, self._seen = self._seen, (claim.holder, claim.renewed)
        if before != self._seen:
            self._since = self._clock()
        return claim, before != self._seen

    def _left(self, claim: Lease) -> float:
        return self._since + min(claim.seconds or _USUAL, _LONGEST) - self._clock()

    async def _claim(self) -> Lease:
        try:
            return leases.read(await self._requests.send("GET", self._path))
        except KubeError as error:
            # Without the right to look there is none to delete either: it is one Role.
            if error.status in (403, 404):
                return Lease()
            raise


def _release_of(claim: Lease) -> str:
    return claim.holder.rpartition("/")[0]
