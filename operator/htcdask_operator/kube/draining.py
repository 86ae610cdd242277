"""The end of every pool of one namespace, as `uninstall` wants it: one `Progress.step` a second.

A step deletes what nobody has deleted yet and, once the jobs had their time, takes our finalizer from the
rest. What fails is remembered for the reader and tried again in the next step; only a list that was read says
that no pool is left.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import quote

from htcdask_api import names
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.requests import Requests

_MERGE: Final = "application/merge-patch+json"
_MISSING_SECONDS: Final = 10.0  # an API server that has just started knows no CRD for a moment
_SILENCES: Final = 3  # so many requests in a row that nobody answered end a step


@dataclass(frozen=True, slots=True)
class Held:
    """A pool that is still there."""

    name: str
    uid: str
    version: str
    deleting: bool
    finalizers: tuple[str, ...]

    @property
    def ours(self) -> bool:
        """Our finalizer keeps it; other people's are theirs to take away."""
        return names.FINALIZER in self.finalizers


class NotServedError(KubeError):
    """The API server says that it has no such resource at all."""


class Pools(Protocol):
    """The pools of one namespace. Each method raises KubeError."""

    async def every(self) -> Sequence[Held]:
        """Every pool that there is; NotServedError where the CRD is not installed."""

    async def delete(self, pool: Held) -> None:
        """Ask for the pool's end; its finalizer holds it until its jobs are gone."""

    async def release(self, pool: Held) -> None:
        """Take our finalizer away: the pool goes at once, whatever its jobs do."""


class NamespacePools:
    """The port `Pools`, on a real API server."""

    def __init__(self, requests: Requests, namespace: str) -> None:
        self._requests = requests
        self._path = f"/apis/{names.API_VERSION}/namespaces/{quote(namespace, safe='')}/{names.PLURAL}"

    async def every(self) -> Sequence[Held]:
        try:
            answer = await self._requests.send("GET", self._path)
        except KubeError:
            if await self._is_served():
                raise
            raise NotServedError(
                f"GET {self._path}", f"there is no CRD {names.PLURAL}.{names.GROUP}"
            ) from None
        items = answer.get("items")
        if answer.get("kind") != f"{names.KIND}List" or not isinstance(items, list):
            raise KubeError(f"GET {self._path}", "the answer is no list of pools")
        try:
            return [_held(item) for item in items]
        except (KeyError, TypeError):
            raise KubeError(f"GET {self._path}", "the answer is no list of pools") from None

    async def _is_served(self) -> bool:
        """By the API server's own lists: its 404 for a group that is not there is a text without a Status."""
        groups = await self._listed("/apis", "APIGroupList", "groups")
        versions = [version for group in groups for version in group.get("versions", ())]
        if not any(version.get("groupVersion") == names.API_VERSION for version in versions):
            return False
        resources = await self._listed(f"/apis/{names.API_VERSION}", "APIResourceList", "resources")
        return any(resource.get("name") == names.PLURAL for resource in resources)

    async def _listed(self, path: str, kind: str, key: str) -> Sequence[Mapping[str, Any]]:
        answer = await self._requests.send("GET", path)
        found = answer.get(key)
        if answer.get("kind") != kind or not isinstance(found, list) or not found:
            raise KubeError(f"GET {path}", f"the answer is no {kind}")
        return [item for item in found if isinstance(item, Mapping)]

    async def delete(self, pool: Held) -> None:
        await self._requests.send("DELETE", f"{self._path}/{pool.name}")

    async def release(self, pool: Held) -> None:
        others = [entry for entry in pool.finalizers if entry != names.FINALIZER]
        # The version keeps a finalizer that somebody else has just added; the uid, another pool of that name.
        metadata = {"finalizers": others, "resourceVersion": pool.version, "uid": pool.uid}
        path = f"{self._path}/{pool.name}"
        await self._requests.send("PATCH", path, body={"metadata": metadata}, content_type=_MERGE)


def _held(item: Mapping[str, Any]) -> Held:
    metadata = item["metadata"]
    return Held(
        name=metadata["name"],
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        deleting="deletionTimestamp" in metadata,
        finalizers=tuple(metadata.get("finalizers") or ()),
    )


@dataclass
class Progress:
    """How far one namespace is."""

    namespace: str
    pools: Pools
    done: bool = False
    missing: bool = False  # the whole resource is not there: the CRD is gone, and all pools with it
    released: dict[str, str] = field(default_factory=dict)  # uid -> namespace/name
    seen: set[str] = field(default_factory=set)  # uids of all that had to end
    trouble: str = ""  # what failed last
    _left: list[str] | None = None  # not known
    _missing_since: float | None = None

    @property
    def text(self) -> str:
        """For people, in a line."""
        if self.missing:
            return f"namespace {self.namespace}: there are no HTCWorkerPools in this cluster (no such CRD)"
        if self.done:
            ended = len(self.seen) - len(self.released)
            return f"namespace {self.namespace}: {ended} pools ended, {len(self.released)} released"
        left = "not known how many" if self._left is None else f"{len(self._left)} of {len(self.seen)}"
        some = f" ({', '.join(self._left[:5])}{', …' if len(self._left) > 5 else ''})" if self._left else ""
        trouble = f"; {self.trouble}" if self.trouble else ""
        return f"namespace {self.namespace}: {left} pools left{some}{trouble}"

    async def step(self, releasing: bool, now: float) -> None:
        """Go on; a step that fails is tried again."""
        self.trouble = ""
        try:
            pools = await self.pools.every()
        except KubeError as error:
            self._not_listed(error, now)
            return
        self._missing_since = None
        undone = [pool for pool in pools if pool.ours or not pool.deleting]
        self._left = [pool.name for pool in undone]
        self.seen |= {pool.uid for pool in undone}
        self.done = not undone
        silences = 0
        for pool in undone:
            if not pool.deleting:
                failed = await self._try(self.pools.delete, pool)
            elif releasing:
                # Named before it is tried: an answer may be lost, and nobody else names its jobs.
                self.released[pool.uid] = f"{self.namespace}/{pool.name}"
                failed = await self._try(self.pools.release, pool)
            else:
                continue
            silences = silences + 1 if failed is not None and failed.status is None else 0
            if silences == _SILENCES:
                return

    async def _try(self, what: Callable[[Held], Awaitable[None]], pool: Held) -> KubeError | None:
        try:
            await what(pool)
        except KubeError as error:
            # It went by itself, or changed meanwhile: the next list shows.
            if error.status not in (404, 409):
                self.trouble = str(error)
            return error
        return None

    def _not_listed(self, error: KubeError, now: float) -> None:
        self.trouble, self._left = str(error), None
        if not isinstance(error, NotServedError):
            self._missing_since = None
            return
        self._missing_since = now if self._missing_since is None else self._missing_since
        self.missing = self.done = now - self._missing_since >= _MISSING_SECONDS
