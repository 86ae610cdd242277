"""The leases of namespaces, also of one that is being deleted: there is no lease in it to hold any more.

Kubernetes takes the roles and the leases of such a namespace first; the pools wait for their finalizer. No
lease can be taken there, so whoever asks has it: else no operator would let go of those pools, and the
namespace would be Terminating for ever. Made by `claims` around the port `Leases`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeVar

from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.leases import Lease
from htcdask_operator.kube.port import Leases

T = TypeVar("T")

_REFUSED: Final = (403, 404)  # what a namespace without roles, or without itself, answers


class Claimed:
    """The port `Leases`."""

    def __init__(self, kube: Leases) -> None:
        self._kube = kube
        self._void: dict[str, Lease] = {}  # by namespace: what we would have written
        self._written = 0

    async def lease(self, namespace: str, name: str) -> Lease | None:
        return await self._unless_ending(
            namespace, lambda: self._kube.lease(namespace, name), lambda: self._void.get(namespace)
        )

    async def write_lease(self, namespace: str, name: str, lease: Lease) -> Lease:
        def write() -> Lease:
            self._written += 1
            self._void[namespace] = replace(lease, version=f"void-{self._written}")
            return self._void[namespace]

        return await self._unless_ending(
            namespace, lambda: self._kube.write_lease(namespace, name, lease), write
        )

    async def ending(self, namespace: str) -> bool:
        return await self._kube.ending(namespace)

    async def _unless_ending(
        self, namespace: str, ask: Callable[[], Awaitable[T]], otherwise: Callable[[], T]
    ) -> T:
        try:
            return await ask()
        except KubeError as error:
            if error.status in _REFUSED and await self._kube.ending(namespace):
                return otherwise()
            raise
