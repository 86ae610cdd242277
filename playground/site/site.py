"""Everything that runs on the playground's node: the gateway, HTCondor, the operator, notebooks.

The command line, the demonstration and the end-to-end tests call `apply`, at any time: it brings the site to
what the repository says now, and does little where it is there already.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import string
import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playground.build import images, paths, rootfs_condor, worker_image
from playground.build.progress import step
from playground.node import containers
from playground.node.node import Node
from playground.site import access_point, gateway, jupyter, notebook, wait

CHART = paths.REPOSITORY / "charts" / "htcdask"
VALUES = gateway.MANIFESTS / "htcdask-values.yaml"
# The gateway as pods reach it.
INNER_GATEWAY = f"http://{jupyter.GATEWAY_HOST}"
# In this order: what the others need comes first.
_FIRST = ("namespaces", "daskcluster-crd")
_THEN = ("traefik", "gateway-api", "gateway-controller", "condor", "notebooks", "gateway-routes")


@dataclass(frozen=True)
class Site:
    """A site that runs, as its admin and its users see it."""

    node: Node
    gateway_url: str
    password: str
    # JupyterLab with the example notebooks; the URL holds the token that opens it.
    jupyter_url: str
    inner_gateway_url: str = INNER_GATEWAY

    def kubectl(self, *args: str, input: str | None = None, check: bool = True) -> str:
        """kubectl as cluster admin."""
        return self.node.kubectl(*args, input=input, check=check)

    def condor(self, *argv: str) -> str:
        """A command on the access point, as root: `site.condor("condor_q", "-allusers")`."""
        return access_point.run(self.node, *argv)

    @property
    def condor_token(self) -> str:
        """The operator's IDTOKEN."""
        return access_point.token(self.node)

    def notebook(self, code: str, pod: str = "notebook", timeout: float = 180, echo: bool = False) -> str:
        """Run Python in a notebook pod and return what it printed; `echo` also shows it as it comes.

        `notebook` has no right in Kubernetes; `notebook-kubernetes` may write the gateway's pools.
        """
        return notebook.run(self.node.kubeconfig, pod, code, timeout, echo)

    @contextmanager
    def changed_chart(self, *changes: str) -> Iterator[None]:
        """The operator's chart with other values (`key=value`) for a while; nobody waits for its pod."""
        _upgrade(self.node, images.image("operator"), *(f"--set={change}" for change in changes))
        try:
            yield
        finally:
            install_chart(self.node)


def apply(node: Node) -> Site:
    """Bring everything onto a node that is up, and wait until it is ready."""
    built = images.build()
    cvmfs = worker_image.tree()
    with step("loading images"):
        _load(node, built)
    password, token = _secret(node, "gateway-password"), _secret(node, "jupyter-token")
    with step("applying the site"):
        _apply(node, built, cvmfs, password, token)
    # The chart needs HTCondor's token; the rest of the site starts meanwhile.
    with step("waiting for HTCondor"):
        wait.deployments(node, "--namespace=condor")
    access_point.ensure_token(node)
    install_chart(node, built["operator"])
    with step("waiting for the rest of the site"):
        wait.deployments(node)
    port = node.forward("gateway", "traefik-dask-gateway.gateway", 80)
    return Site(node, f"http://127.0.0.1:{port}", password, jupyter.url(node, token))


def install_chart(node: Node, operator: images.Image | None = None) -> None:
    """Install or upgrade the operator by Helm, and wait until it is ready."""
    with step("installing the htcdask chart"):
        _upgrade(node, operator or images.image("operator"))
        # Not Helm's own --wait: it cannot say what is wrong with a pod.
        wait.deployments(node, "--namespace=htcdask")


def _upgrade(node: Node, operator: images.Image, *options: str) -> None:
    # A Helm that was killed on its way leaves a mark that makes every later one refuse.
    pending = "owner=helm,status in (pending-install,pending-upgrade,pending-rollback)"
    node.kubectl("delete", "secrets", "--namespace=htcdask", f"--selector={pending}")
    what = ["htcdask", str(CHART), "--namespace=htcdask", f"--values={VALUES}"]
    # Another image under the same name is another pod.
    what += [f"--set-string=podAnnotations.htcdask\\.test/image={operator.key}"]
    node.helm("upgrade", "--install", *what, *options)


def _load(node: Node, built: dict[str, images.Image]) -> None:
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(node.load_image, [built[name].archive for name in images.NAMES]))
    ctr = [*node.enter("ctr"), "--address", containers.SOCKET, "--namespace=k8s.io"]
    for alias in gateway.PUBLIC_IMAGES:
        command = [*ctr, "images", "tag", "--force", built["dask"].reference, alias]
        subprocess.run(command, check=True, capture_output=True)


def _apply(node: Node, built: dict[str, images.Image], cvmfs: Path, password: str, token: str) -> None:
    dask = string.Template(_manifest("notebook-dask.in")).substitute(
        address=INNER_GATEWAY, host=jupyter.GATEWAY_HOST, password=password
    )
    condor, gpus = rootfs_condor.CONFIG.read_text(encoding="utf-8"), _manifest("condor-gpus.in")
    lab, notebooks = jupyter.settings(token), jupyter.notebooks()
    values = {
        **{name: image.key for name, image in built.items()},
        # The gateway runs none of this project's code but its configuration.
        "dask_deps": images.image("dask-deps").key,
        # A pod does not notice a new configuration: a new checksum in its template makes another pod.
        "configuration": _checksum(gateway.configuration() + password),
        "condor_configuration": _checksum(condor + gpus),
        "notebook_configuration": _checksum(dask),
        "jupyter_configuration": _checksum(json.dumps([lab, notebooks])),
        "condor_target": f"/{rootfs_condor.CONFIG_TARGET}",
        "condor_memory": f"{access_point.memory_limit() >> 20}Mi",
        "cvmfs": str(cvmfs),
    }
    command = ("apply", "--server-side", "--force-conflicts", "--field-manager=playground", "--filename=-")
    node.kubectl(*command, input=_join([*map(_yaml, _FIRST), *gateway.traefik_crds()]))
    made = [
        _holder(
            "ConfigMap", "gateway", "api-dask-gateway", {"dask_gateway_config.py": gateway.configuration()}
        ),
        _holder("ConfigMap", "condor", "condor", {"condor.conf": condor, "gpus.conf": gpus}),
        _holder("ConfigMap", "notebooks", "examples", notebooks),
        _holder("Secret", "gateway", "gateway-password", {"password": password}),
        _holder("Secret", "notebooks", "dask-configuration", {"site.yaml": dask}),
        _holder("Secret", "notebooks", "jupyter-configuration", lab),
    ]
    node.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    then = (string.Template(_yaml(name)).substitute(values) for name in _THEN)
    node.kubectl(*command, input=_join([*made, *then]))


def _holder(kind: str, namespace: str, name: str, texts: dict[str, str]) -> str:
    metadata = {"name": name, "namespace": namespace}
    key = "data" if kind == "ConfigMap" else "stringData"
    return json.dumps({"apiVersion": "v1", "kind": kind, "metadata": metadata, key: texts})


def _secret(node: Node, name: str) -> str:
    """A secret that lives as long as the instance's state; it is made at the first call."""
    file = node.state / name
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(12))
    return file.read_text()


def _manifest(name: str) -> str:
    return (gateway.MANIFESTS / name).read_text(encoding="utf-8")


def _yaml(name: str) -> str:
    return _manifest(f"{name}.yaml")


def _join(documents: Iterable[str]) -> str:
    return "\n---\n".join(documents)


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
