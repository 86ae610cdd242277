"""`/healthz`, `/readyz` and `/metrics`, on one port of their own.

Run by `__main__` as a supervised task, from the start. Healthy means that the loops turn, or that the lease
is waited for, not that HTCondor or Kubernetes answer: a pod that is restarted because another system is down
helps nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


@dataclass(frozen=True, slots=True)
class Health:
    """How the operator is, in words too."""

    well: bool
    words: str


async def serve(
    port: int, check: Callable[[], Health], blocked: Callable[[], str | None] = lambda: None
) -> None:
    """Serve until cancelled. `blocked`: what only a person can mend, and keeps the pod from being ready."""

    async def healthz(_: web.Request) -> web.Response:
        health = check()
        return web.Response(text=f"{health.words}\n", status=200 if health.well else 503)

    async def readyz(_: web.Request) -> web.Response:
        words = blocked()
        return web.Response(text=f"{words or 'ok'}\n", status=200 if words is None else 503)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", metrics)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
