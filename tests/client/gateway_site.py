"""Start a real gateway for the client's tests, and look into it."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from dask_gateway.auth import BasicAuth

from htcdask_api import names
from htcdaskgateway import HTCGateway

CONFIG = Path(__file__).with_name("site_config.py")
EXTENSION = Path(__file__).parents[2] / "gateway"
PASSWORD = "sesame"
IMAGE = "/cvmfs/unpacked.cern.ch/registry.hub.docker.com/htcdask/worker:latest"


@dataclass(frozen=True)
class Site:
    """A gateway that is up."""

    address: str

    def gateway(self, user: str = "ada", **settings: Any) -> HTCGateway:
        settings = {"auth": BasicAuth(user, PASSWORD), **settings}
        return HTCGateway(self.address, **settings)

    def pools_of(self, cluster: str) -> list[dict[str, Any]]:
        """The stored pools of one of the gateway's clusters."""
        bare = cluster.partition(".")[2]
        return [p for p in asyncio.run(self.pools()) if p["spec"]["clusterRef"]["name"] == bare]

    def tell(self, cluster: str, **status: Any) -> None:
        """What the operator would say about the cluster's pool."""
        asyncio.run(self.set_status(cluster, status))

    def keep(self, cluster: str, *workers: dict[str, Any]) -> None:
        """What the operator would write into the log of the cluster's pool."""
        self._put(f"pools/{names.pool_name('default', cluster.partition('.')[2])}/logs", json.dumps(workers))

    @contextmanager
    def offering(self, policy: Any) -> Iterator[None]:
        """While an operator with these settings says what they offer."""
        from htcdask_operator.process import offer  # needs Python 3.11, and this module 3.10

        with self.saying(json.dumps(offer.content(policy))):
            yield

    @contextmanager
    def saying(self, text: str) -> Iterator[None]:
        """While an operator says this of what it offers."""
        self._put("offer", text)
        try:
            yield
        finally:
            self._put("offer", "")

    @contextmanager
    def without_operator(self) -> Iterator[None]:
        """While the operator has ended, and given its Lease back."""
        self._put("holder", "")
        try:
            yield
        finally:
            self._put("holder", "operator")

    def _put(self, what: str, text: str) -> None:
        url = f"{self.address}/site/{what}"
        request = urllib.request.Request(url, text.encode(), method="PUT")  # noqa: S310 (our own http:// address)
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310
            pass

    async def pools(self) -> list[dict[str, Any]]:
        """The HTCWorkerPool objects as they were stored."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.address}/site/pools") as answer:
            found: list[dict[str, Any]] = await answer.json()
            return found

    async def set_status(self, cluster: str, status: dict[str, Any], pool: str = "default") -> None:
        """What the operator would say about a pool."""
        name = names.pool_name(pool, cluster.partition(".")[2])
        async with aiohttp.ClientSession() as session:
            url = f"{self.address}/site/pools/{name}/status"
            async with session.put(url, json=status, raise_for_status=True):
                pass


@contextmanager
def running_site(log: Path, extension: bool, packages: Path | None = None) -> Iterator[Site]:
    """A gateway server of its own; what lies in `packages` goes before what is installed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, filter(None, [EXTENSION, packages]))),
        "SITE_ADDRESS": address,
        "SITE_EXTENSION": "yes" if extension else "no",
    }
    command = [sys.executable, "-m", "dask_gateway_server", "--config", str(CONFIG)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        assert server.stdout is not None
        lines: list[str] = []
        for line in server.stdout:
            lines.append(line)
            if "Dask-Gateway server started" in line:
                break
        else:
            pytest.fail("the gateway did not start:\n" + "".join(lines))
        rest = threading.Thread(target=_keep, args=(lines, server.stdout, log))
        rest.start()
        try:
            _wait_for_route(f"http://{address}/api/health")
            yield Site(f"http://{address}")
        finally:
            server.terminate()
            server.wait(20)
            rest.join()


def _keep(lines: list[str], rest: Iterable[str], log: Path) -> None:
    log.write_text("".join([*lines, *rest]))


def _wait_for_route(url: str) -> None:
    """The proxy learns its routes a moment after the server has started, and says nothing about it."""
    until = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 (our own http:// address)
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
