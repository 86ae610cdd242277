"""The scheduler's own HTTP interface, through the Service that dask-gateway's controller makes for it.

Made by `__main__` for the operator's life. Answers are user code's word: only names of a bounded length are
taken from them, and never more than a bounded number of bytes is read.
"""

from __future__ import annotations

import json
from typing import Final

import aiohttp

from htcdask_operator.core.model import Roll
from htcdask_operator.scheduler import page
from htcdask_operator.scheduler.port import SchedulerError

_DEADLINE: Final = aiohttp.ClientTimeout(total=3.0)
_LARGEST_ANSWER: Final = 32 * 2**20  # 30,000 workers


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

    async def workers(self, namespace: str, cluster: str) -> Roll:
        url = self._dashboard.format(namespace=namespace, cluster=cluster) + "/info/main/workers.html"
        answer = await self._ask("GET", url)
        try:
            return page.read(answer.decode("utf-8", "replace"))
        except page.NotAPageError as error:
            raise SchedulerError(f"{url}: this is not the answer of a Dask scheduler") from error

    async def scale(self, namespace: str, cluster: str, count: int, api_token: str) -> None:
        url = self._api.format(namespace=namespace, cluster=cluster) + "/api/comm"
        # Without its type, the scheduler's service does not read the body.
        headers = {"Authorization": f"token {api_token}", "Content-Type": "application/json"}
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
