"""The pools where the configuration says that they are: a gateway without its role, and a real API server."""

from pathlib import Path
from typing import Any

import dask
import pytest

from tests.client._doctor import servers
from tests.client._doctor.test_planted_faults import examined, failed
from tests.client.gateway_site import Site

CLUSTER = "gateway.a29b"


def test_a_gateway_without_its_role_says_what_kubernetes_refused(site: Site) -> None:
    def page(path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
        if path.endswith("/htcondor/pools"):
            return 500, {}, b'{"error": "Kubernetes refused what the gateway asked for (403: forbidden)"}'
        known = {
            "/api/version": b'{"version": "1"}',
            "/api/v1/htcondor": b'{"version": 1}',
            "/api/v1/options": b'{"cluster_options": [{"field": "worker_backend"}]}',
        }
        return 200, {}, known.get(path, b'{"%b": {"status": "STOPPED"}}' % CLUSTER.encode())

    with servers.pages(page) as port:
        report = examined(f"http://127.0.0.1:{port}", proxy_address=site.address.partition("//")[2])
    assert failed(report).check == "pools"
    assert "Kubernetes refused what the gateway asked for (403: forbidden)" in failed(report).said
    assert "gateway.serviceAccountName" in failed(report).remedy


def test_without_a_kubernetes_credential_the_setting_is_named(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kubernetes.aio.config import kube_config

    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    with dask.config.set({"htcdask.pool-api": "kubernetes", "htcdask.namespace": "gateway"}):
        report = examined(site.address, user="no-kubeconfig")
    assert failed(report).check == "pools"
    assert "neither a service account nor a kubeconfig" in failed(report).said
    assert "htcdask.pool-api: gateway" in failed(report).remedy
