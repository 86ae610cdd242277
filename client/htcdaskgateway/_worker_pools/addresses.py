"""The names of workers by the addresses that Dask's errors give them, also of those that are gone.

Called by the cluster object: KilledWorker names an address, and logs stand under names.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

from dask_gateway import GatewayCluster

_log = logging.getLogger(__name__)

_MOST: Final = 10_000  # workers, the newest
_SECONDS: Final = 3.0  # for a scheduler's answer


class Addresses:
    """What a scheduler has said of its workers since it is listened to."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def note(self, workers: Mapping[str, Any]) -> None:
        """`workers`: what the scheduler says of each, by address."""
        for address, its in workers.items():
            self._names.pop(address, None)
            self._names[address] = str(its.get("name", address))
        while len(self._names) > _MOST:
            del self._names[next(iter(self._names))]

    def name(self, worker: object) -> str | None:
        """Of the worker at this address; what was never seen as an address is a name. None stays None."""
        return None if worker is None else self._names.get(str(worker), str(worker))


class Listening:
    """A comm of the scheduler's words about its workers, which notes them on their way to dask-gateway."""

    def __init__(self, comm: Any, addresses: Addresses) -> None:
        self._comm = comm
        self._addresses = addresses

    async def read(self) -> Any:
        """The next words."""
        messages = await self._comm.read()
        for kind, said in messages:
            if kind == "add":
                self._addresses.note(said.get("workers", {}))
        return messages

    async def close(self) -> None:
        """As the comm does."""
        await self._comm.close()


class ClusterWithAddresses(GatewayCluster):  # type: ignore[misc]
    """A cluster that knows the workers of now and of before by their addresses."""

    _addresses = Addresses()  # nobody's, until there is a scheduler

    def _watch_worker_status(self, comm: Any) -> Any:
        """As dask-gateway does, whose coroutine keeps no cluster alive: so this one must not either."""
        self._addresses = Addresses()
        self._addresses.note(self.scheduler_info.get("workers", {}))
        return super()._watch_worker_status(Listening(comm, self._addresses))

    @property
    def _has_scheduler(self) -> bool:
        """Whether there is one to be asked."""
        return self.scheduler_comm is not None and self.status == "running"

    async def _ask_who_is_there(self) -> bool:
        """Have `scheduler_info` as it is now; False if the scheduler does not say.

        It tells changes to whom connected last, and to nobody else (Dask's plugin for it has one name): what
        this object has heard may be as old as another one is.
        """
        try:
            info = await asyncio.wait_for(self.scheduler_comm.identity(), _SECONDS)
            self._addresses.note(info["workers"])
            self.scheduler_info = info
            if hasattr(self, "_status_widget"):
                self._status_widget.value = self._widget_status()
        except Exception:  # it is user code
            _log.debug("The scheduler does not say which workers it has", exc_info=True)
            return False
        return True
