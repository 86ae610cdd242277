"""One site for all tests of this folder: a real API server, the gateway's unmodified servers, our values."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import yaml

from playground.build import programs
from playground.node.controlplane import ControlPlane
from playground.site.gateway import MANIFESTS, traefik_crds
from tests.gateway.servers import (
    IMAGE_CUSTOMIZATION,
    NAMESPACE,
    OURS,
    ROOT,
    Site,
    account_kubeconfig,
    extra_config,
    running_api,
    running_controller,
)

CHART = ROOT / "charts/htcdask"
LIMIT = 10


def _accounts_and_roles() -> str:
    """The service accounts and rights that the upstream chart gives the gateway's two servers."""
    kinds = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding")
    files = (MANIFESTS / "gateway-api.yaml", MANIFESTS / "gateway-controller.yaml")
    documents = [document for file in files for document in yaml.safe_load_all(file.read_text())]
    return yaml.safe_dump_all(document for document in documents if document["kind"] in kinds)


def _role_of_our_chart() -> str:
    command = [str(programs.path("helm")), "template", "htcdask", str(CHART)]
    command += ["--values", str(CHART / "ci/example-values.yaml")]
    command += ["--show-only", "templates/rbac-gateway.yaml", "--kube-version", programs.KUBERNETES]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as plane:
        plane.kubectl("apply", "-f", str(MANIFESTS / "daskcluster-crd.yaml"))
        plane.kubectl("apply", "-f", "-", input="---\n".join(traefik_crds()))
        for ours in ("htcworkerpool", "htcworkerlog"):
            plane.kubectl("apply", "-f", str(ROOT / f"crds/{ours}.yaml"))
        plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        plane.kubectl("create", "namespace", NAMESPACE)
        # Nobody makes the default account here, and pods are not admitted without.
        plane.kubectl("create", "serviceaccount", "default", f"--namespace={NAMESPACE}")
        plane.kubectl("apply", "-f", "-", input=_accounts_and_roles())
        plane.kubectl("apply", "-f", "-", input=_role_of_our_chart())
        yield plane


@pytest.fixture(scope="session")
def site(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    kubeconfig = account_kubeconfig(plane, "api-dask-gateway", folder)
    controller = account_kubeconfig(plane, "controller-dask-gateway", folder)
    limits = {
        "limits": f"c.ClusterConfig.cluster_max_workers = {LIMIT}\nc.ClusterConfig.idle_timeout = 1800\n"
    }
    extra = {**extra_config(IMAGE_CUSTOMIZATION), **limits, **extra_config(OURS)}
    with ExitStack() as stack:
        stack.enter_context(running_controller(folder, controller))
        api = stack.enter_context(running_api(folder, "api", kubeconfig, extra))
        replica = stack.enter_context(running_api(folder, "replica", kubeconfig, extra))
        yield Site(plane, api, replica, kubeconfig)
