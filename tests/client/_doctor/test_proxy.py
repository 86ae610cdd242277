"""The proxy for schedulers, where its route to a new cluster comes a moment after the cluster."""

import ssl
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from dask_gateway.client import ClusterReport, ClusterStatus
from dask_gateway_server.tls import new_keypair

from htcdaskgateway._doctor import proxy
from htcdaskgateway._doctor.case import Case, Fault
from tests.client._doctor import servers

CLUSTER = "gateway.a29b"


class Routed:
    """A proxy that shows a certificate of its own, and from the `after`th greeting on the cluster's."""

    def __init__(self, folder: Path, after: int) -> None:
        certificate, key = new_keypair(f"daskgateway-{CLUSTER}")
        (folder / "both.pem").write_bytes(certificate + key)
        self._scheduler = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._scheduler.load_cert_chain(folder / "both.pem")
        self.report = ClusterReport(
            CLUSTER,
            {},
            ClusterStatus.RUNNING,
            None,
            None,
            datetime.min,
            None,
            certificate.decode(),
            key.decode(),
        )
        self.names: list[str | None] = []
        self._after = after
        self.context = servers.certified(trustme.CA().issue_cert("traefik.default"))
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        self.names.append(name)
        if len(self.names) >= self._after:
            connection.context = self._scheduler


def seen(routed: Routed, port: int) -> Case:
    gateway = SimpleNamespace(proxy_address=f"gateway://127.0.0.1:{port}")
    case = Case(lambda: gateway, probe=True, worker_seconds=1, cluster_options={})
    case.gateway, case.report = gateway, routed.report
    return case


async def test_a_route_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    routed = Routed(tmp_path, after=3)
    with servers.pages(lambda path, headers: (404, {}, b""), routed.context) as port:
        assert "leads to the scheduler of gateway.a29b" in await proxy.proxy(seen(routed, port))
    assert routed.names == [f"daskgateway-{CLUSTER}"] * 3


async def test_a_route_that_never_comes_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "_ROUTE_SECONDS", 0.6)
    routed = Routed(tmp_path, after=1000)
    said = r"answers with another certificate than cluster gateway\.a29b's"
    with servers.pages(lambda path, headers: (404, {}, b""), routed.context) as port:
        case = seen(routed, port)
        with pytest.raises(Fault, match=said) as fault:
            await proxy.proxy(case)
    assert "its log" in fault.value.remedy
    assert len(routed.names) >= 2
