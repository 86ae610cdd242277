"""The scheduler's own HTTP interface, through the Service that dask-gateway's controller makes for it.

Made by `__main__` for the operator's life. Answers are user code's word: only names of a bounded length are
taken from them, and never more than a bounded number of bytes is read.
"""

from __future__ import annotations

import json
from typing import Final

import aiohttp

from htcdask_operator.core.model import WorkerName
from htcdask_operator.scheduler.port import SchedulerError

_DEADLINE: Final = aiohttp.ClientTimeout(total=3.0)
_LARGEST_ANSWER: Final = 8 * 2**20
_LONGEST_NAME: Final = 64


class SchedulerHttp:
    """The port `Scheduler`, on real schedulers. Tests say where else one listens."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        dashboard: str = "http://dask-{cluster}.{namespace}:8787",
        api: str = "http://dask-{cluster}.{namespace}:8788",
    ) -> None:
        self._session = session
        self._dashboard = dashboard
        self._api = api

    async def workers(self, namespace: str, cluster: str) -> frozenset[WorkerName]:
        url = self._dashboard.format(namespace=namespace, cluster=cluster) + "/json/identity.json"
        answer = await self._ask("GET", url)
        try:
            names = {worker["name"] for worker in json.loads(answer)["workers"].values()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SchedulerError(f"{url}: this is not the answer of a Dask scheduler") from error
        return frozenset(name for name in names if isinstance(name, str) and len(name) <= _LONGEST_NAME)

    async def scale(self, namespace: str, cluster: str, count: int, api_token: str) -> None:
        url = self._api.format(namespace=namespace, cluster=cluster) + "/api/comm"
        headers = {"Authorization": f"token {api_token}"}
        await self._ask("POST", url, json.dumps({"op": "scale", "count": count}).encode(), headers)

    async def _ask(
        self, method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> bytes:
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, timeout=_DEADLINE, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise SchedulerError(f"{url}: HTTP status {response.status}")
                answer = await response.content.read(_LARGEST_ANSWER + 1)
                while not response.content.at_eof() and len(answer) <= _LARGEST_ANSWER:
                    answer += await response.content.read(_LARGEST_ANSWER + 1 - len(answer))
        except TimeoutError as error:
            raise SchedulerError(
                f"{url}: no answer in {_DEADLINE.total} s; the scheduler may be busy"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise SchedulerError(f"{url}: {error}") from error
        if len(answer) > _LARGEST_ANSWER:
            raise SchedulerError(f"{url}: the answer is larger than {_LARGEST_ANSWER} bytes")
        return answer
