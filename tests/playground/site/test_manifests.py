"""What the site applies, looked at without a node: the order of the gateway's snippets, images, names."""

import string
from pathlib import Path
from typing import Any

import pytest
import yaml

from playground.build import images
from playground.site import access_point, gateway

MANIFESTS = sorted(gateway.MANIFESTS.glob("*.yaml"))
VALUES = {"htcdask-values", "idle-timeout", "image-customization"}


class Placeholder(dict[str, str]):
    """Any name has a value."""

    def __missing__(self, key: str) -> str:
        return f"/{key}"


def documents(name: str) -> list[dict[str, Any]]:
    """The documents of a manifest, with something in each gap."""
    text = (gateway.MANIFESTS / f"{name}.yaml").read_text(encoding="utf-8")
    return [each for each in yaml.safe_load_all(string.Template(text).substitute(Placeholder())) if each]


def test_the_gateways_snippets_run_in_the_order_of_their_keys() -> None:
    """The site's own, then ours, after the lines that the chart writes itself."""
    text = gateway.configuration()
    compile(text, "dask_gateway_config.py", "exec")
    marks = [
        line.split(".")[-1] for line in text.splitlines() if line.startswith("# From gateway.extraConfig.")
    ]
    assert marks == ["image-customization", "option-idle-timeout", "zz-htcdask"]
    assert text.index("c.DaskGateway.backend_class") < text.index("# From gateway.extraConfig.")


@pytest.mark.parametrize("name", [path.stem for path in MANIFESTS if path.stem not in VALUES])
def test_no_pod_needs_a_registry(name: str) -> None:
    """Every container runs one of the playground's own images, and never pulls it."""
    known = {f"htcdask/{image}:dev" for image in images.NAMES}
    for document in documents(name):
        if document["kind"] != "Deployment":
            continue
        pod = document["spec"]["template"]["spec"]
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            assert container["image"] in known
            assert container["imagePullPolicy"] == "Never"


def test_the_plain_notebook_has_no_token_for_kubernetes() -> None:
    """What works from there works by the gateway alone."""
    pods = {
        document["metadata"]["name"]: document["spec"]["template"]["spec"]
        for document in documents("notebooks")
        if document["kind"] == "Deployment"
    }
    assert pods["notebook"]["automountServiceAccountToken"] is False
    assert pods["notebook-kubernetes"]["serviceAccountName"] == "notebook-kubernetes"


def test_traefiks_resources_are_named_as_traefik_asks_for_them() -> None:
    """Plural, dot, group: the API server refuses anything else."""
    for text in gateway.traefik_crds():
        crd = yaml.safe_load(text)
        assert crd["metadata"]["name"] == f"{crd['spec']['names']['plural']}.{crd['spec']['group']}"


def test_all_workers_together_leave_the_machine_some_memory() -> None:
    """The kernel ends the largest process of HTCondor's pod before the machine has no memory left."""
    [condor] = [each for each in documents("condor") if each["kind"] == "Deployment"]
    [container] = condor["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == "/condor_memory"
    machine = int(Path("/proc/meminfo").read_text().split()[1]) << 10
    assert 0.6 * machine < access_point.memory_limit() < 0.7 * machine
