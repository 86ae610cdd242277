"""The unmodified dask-gateway servers as processes of their own, and how to speak to them."""

import base64
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from playground.node.controlplane import ControlPlane, free_ports

ROOT = Path(__file__).parents[2]
NAMESPACE = "gateway"
OURS = ROOT / "charts/htcdask/gateway-values.yaml"
IMAGE_CUSTOMIZATION = ROOT / "playground/site/manifests/image-customization.yaml"

# What the upstream chart writes before it pastes gateway.extraConfig, as far as the API server needs it.
BASE = """
c.DaskGateway.address = "127.0.0.1:{port}"
c.DaskGateway.backend_class = "dask_gateway_server.backends.kubernetes.KubeBackend"
c.KubeBackend.api_url = "http://127.0.0.1:{port}/api"
c.KubeBackend.gateway_instance = "{instance}"
c.KubeClusterConfig.namespace = "gateway"
"""
CONTROLLER = """
c.KubeController.address = "127.0.0.1:{port}"
c.KubeController.api_url = "http://127.0.0.1:1/api"
c.KubeController.gateway_instance = "dask-gateway"
"""


def extra_config(values: Path) -> dict[str, str]:
    """`gateway.extraConfig` of a values file of the upstream chart."""
    found: dict[str, str] = yaml.safe_load(values.read_text())["gateway"]["extraConfig"]
    return found


def configuration(extra: Mapping[str, str], port: int = 0, instance: str = "dask-gateway") -> str:
    """dask_gateway_config.py as the upstream chart renders it: the entries follow, sorted by their keys."""
    return "\n".join(
        [
            BASE.format(port=port, instance=instance),
            *(f"# From gateway.extraConfig.{key}\n{extra[key]}" for key in sorted(extra)),
        ]
    )


@dataclass(frozen=True)
class Api:
    """One replica of the gateway's API server."""

    url: str
    log: Path

    def __call__(
        self,
        user: str | None,
        method: str,
        path: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        token: str | None = None,
    ) -> tuple[int, Any]:
        """The status and the JSON that the server answers; `user` None comes without credentials."""
        headers = {"Content-Type": "application/json"}
        if user is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:".encode()).decode()
        if token is not None:
            headers["Authorization"] = f"token {token}"
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 (our own http:// address)
            self.url + path, data=data, headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.loads(refusal.read())


@contextmanager
def running(folder: Path, name: str, config: str, kubeconfig: Path, *subcommand: str) -> Iterator[Path]:
    """A dask-gateway-server process with this configuration, until the block ends; its log file."""
    path, log = folder / f"{name}.py", folder / f"{name}.log"
    path.write_text(config)
    command = [sys.executable, "-m", "dask_gateway_server", *subcommand, "--config", str(path)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, "KUBECONFIG": str(kubeconfig)}
        )
    try:
        deadline = time.monotonic() + 60
        while not any(word in log.read_text() for word in ("server started", "controller started!")):
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{name} did not start:\n{log.read_text()}")
            time.sleep(0.05)
        yield log
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def running_api(folder: Path, name: str, kubeconfig: Path, extra: Mapping[str, str]) -> Iterator[Api]:
    (port,) = free_ports(1)
    with running(folder, name, configuration(extra, port), kubeconfig) as log:
        yield Api(f"http://127.0.0.1:{port}", log)


@contextmanager
def running_controller(folder: Path, kubeconfig: Path) -> Iterator[Path]:
    (port,) = free_ports(1)
    config = CONTROLLER.format(port=port)
    with running(folder, "controller", config, kubeconfig, "kube-controller") as log:
        yield log


def account_kubeconfig(plane: ControlPlane, account: str, folder: Path) -> Path:
    """A kubeconfig with the token of this service account of the gateway's namespace."""
    config = yaml.safe_load(plane.kubeconfig.read_text())
    token = plane.kubectl("create", "token", account, f"--namespace={NAMESPACE}").strip()
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path = folder / f"{account}.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


@dataclass(frozen=True)
class Site:
    """A gateway of two API servers and a controller on a real Kubernetes API, as its users meet it."""

    plane: ControlPlane
    api: Api
    replica: Api
    kubeconfig: Path

    def cluster(self, user: str = "ada", **options: object) -> str:
        """The full name of a new cluster."""
        chosen = {"worker_backend": "htcondor", **options}
        status, answer = self.api(user, "POST", "/api/v1/clusters/", {"cluster_options": chosen})
        assert status == 201, answer
        name: str = answer["name"]
        return name

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found

    def dask_cluster(self, cluster: str) -> dict[str, Any]:
        """The DaskCluster."""
        return self.get("daskcluster", cluster.partition(".")[2])

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        return self.plane.kubectl(f"--namespace={NAMESPACE}", *arguments, input=input)

    def wait(self, cluster: str, field: str, value: str = "") -> None:
        """Until the controller has written this field of the DaskCluster."""
        condition = f"--for=jsonpath={{{field}}}" + (f"={value}" if value else "")
        self.kubectl("wait", condition, "--timeout=30s", f"daskcluster/{cluster.partition('.')[2]}")

    def wants(self, cluster: str, number: int) -> dict[str, Any]:
        """The DaskCluster, once it asks for so many workers: a heartbeat may be answered before."""
        self.wait(cluster, ".spec.htcondorReplicas", str(number))
        return self.dask_cluster(cluster)

    def token(self, cluster: str) -> str:
        """What the cluster's scheduler shows the gateway."""
        self.wait(cluster, ".status.credentials")
        secret = self.get("secret", f"dask-credentials-{cluster.partition('.')[2]}")
        return base64.b64decode(secret["data"]["api-token"]).decode()

    def heartbeat(self, cluster: str, message: object) -> int:
        """What a scheduler gets for this message: it is repeated, as a scheduler does, until it is heard."""
        token = self.token(cluster)
        deadline = time.monotonic() + 20
        while True:
            path = f"/api/v1/clusters/{cluster}/heartbeat"
            status, _ = self.api(None, "POST", path, message, token=token)
            if status != 401 or time.monotonic() > deadline:
                return status
            time.sleep(0.05)


def heard(count: object) -> dict[str, object]:
    """A scheduler's heartbeat that asks for `count` workers."""
    return {"count": count, "active_workers": [], "closing_workers": [], "closed_workers": []}
