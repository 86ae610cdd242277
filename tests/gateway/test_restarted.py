"""A server that has just started: it knows every cluster before it answers anybody."""

import time
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from playground.node.controlplane import free_ports
from tests.gateway.servers import OURS, Api, Site, configuration, extra_config, running

CLUSTERS = 24  # the stock server reads them one after the other


def test_what_it_is_asked_first_is_answered_as_what_it_is_asked_later(site: Site, tmp_path: Path) -> None:
    names = sorted(site.cluster("restless") for _ in range(CLUSTERS))
    for name in names:
        site.wait(name, ".status.credentials")
    (port,) = free_ports(1)
    api = Api(f"http://127.0.0.1:{port}", tmp_path / "restarted.log")

    def first(method: str, path: str) -> tuple[int, Any]:
        """The first answer of all."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                return api("restless", method, f"/api/v1/clusters/{path}")
            except urllib.error.URLError:  # it does not listen yet
                time.sleep(0.002)
        raise AssertionError("it never listened")

    with ThreadPoolExecutor(4) as threads:
        listed = threads.submit(first, "GET", "")
        shown = threads.submit(first, "GET", names[-1])
        ended = [threads.submit(first, "DELETE", name) for name in names[-3:-1]]
        with running(tmp_path, "restarted", configuration(extra_config(OURS), port), site.kubeconfig):
            assert set(names[:-3]) <= set(listed.result()[1])
            assert shown.result()[0] == 200
            assert [answer.result()[0] for answer in ended] == [204, 204]
            for name in names[-3:-1]:
                site.wait(name, ".spec.active", "false")
