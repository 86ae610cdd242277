"""Pools by the Kubernetes API: against a real API server, with and without the right to write them."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pytest

from htcdask_api import Template, manifest, names
from htcdaskgateway import HTCDaskError, PoolRefusedError
from htcdaskgateway._worker_pools.kubernetes_api import KubernetesPools, split_name
from playground.node.controlplane import ControlPlane
from tests.client.gateway_site import Site

NAMESPACE = "gateway"
OUR_CRDS = [Path(__file__).parents[3] / f"crds/{name}.yaml" for name in ("htcworkerpool", "htcworkerlog")]
DASKCLUSTERS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"{names.DASKCLUSTER_PLURAL}.{names.GATEWAY_GROUP}"},
    "spec": {
        "group": names.GATEWAY_GROUP,
        "scope": "Namespaced",
        "names": {
            "kind": names.DASKCLUSTER_KIND,
            "plural": names.DASKCLUSTER_PLURAL,
            "singular": "daskcluster",
        },
        "versions": [
            {
                "name": names.GATEWAY_VERSION,
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            }
        ],
    },
}


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as plane:
        for crd in OUR_CRDS:
            plane.kubectl("apply", "-f", str(crd))
        plane.kubectl("apply", "-f", "-", input=json.dumps(DASKCLUSTERS))
        plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        plane.kubectl("create", "namespace", NAMESPACE)
        plane.kubectl("create", "serviceaccount", "powerless", "-n", NAMESPACE)
        yield plane


@pytest.fixture
def admin(kubernetes: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    use(kubernetes.kubeconfig, monkeypatch)


@pytest.fixture
def powerless(kubernetes: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody whom the API server knows and who may do nothing."""
    token = kubernetes.kubectl("create", "token", "powerless", "-n", NAMESPACE).strip()
    view = json.loads(kubernetes.kubectl("config", "view", "--raw", "--flatten", "-o", "json", "--minify"))
    [user] = view["users"]
    user["user"] = {"token": token}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(view))
    use(kubeconfig, monkeypatch)


def use(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The Kubernetes client reads KUBECONFIG once, when it is imported.
    from kubernetes.aio.config import kube_config

    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))


def make_cluster(kubernetes: ControlPlane, name: str) -> None:
    metadata = {"name": name, "namespace": NAMESPACE}
    cluster = {
        "apiVersion": names.GATEWAY_API_VERSION,
        "kind": names.DASKCLUSTER_KIND,
        "metadata": metadata,
        "spec": {"username": "ada"},
    }
    kubernetes.kubectl("create", "-f", "-", input=json.dumps(cluster))


def stored(kubernetes: ControlPlane, kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubernetes.kubectl("get", kind, name, "-n", NAMESPACE, "-o", "json"))
    return found


@pytest.mark.usefixtures("admin")
async def test_a_pool_is_written_and_read_and_belongs_to_its_cluster(kubernetes: ControlPlane) -> None:
    make_cluster(kubernetes, "c1")
    pools = KubernetesPools(None)
    await pools.create("gateway.c1", "default", Template(container_image="/a.sif", cores=2))
    pool = stored(kubernetes, names.PLURAL, "default-c1")
    assert pool["metadata"]["labels"] == {names.CLUSTER_LABEL: "c1"}
    uid = stored(kubernetes, names.DASKCLUSTER_PLURAL, "c1")["metadata"]["uid"]
    assert pool["metadata"]["ownerReferences"] == [manifest.owner_reference("c1", uid)]
    assert pool["spec"]["template"] == {"containerImage": "/a.sif", "cores": 2}
    [seen] = await pools.list("gateway.c1")
    assert (seen.name, seen.spec.template.cores, seen.created is not None) == ("default", 2, True)
    assert await pools.list("gateway.other") == []


@pytest.mark.usefixtures("admin")
async def test_a_pool_of_its_own_is_sized_and_deleted(kubernetes: ControlPlane) -> None:
    make_cluster(kubernetes, "sized")
    pools = KubernetesPools(None)
    made = await pools.create("gateway.sized", "gpu", Template(resources={"gpu": 1}), replicas=1)
    assert (made.name, made.spec.scaling, made.spec.replicas) == ("gpu", "Manual", 1)
    await pools.scale("gateway.sized", "gpu", 3)
    assert stored(kubernetes, names.PLURAL, "gpu-sized")["spec"]["replicas"] == 3
    with pytest.raises(PoolRefusedError, match=r"refused to patch pool 'gpu'.*must not exceed maxReplicas"):
        await pools.scale("gateway.sized", "gpu", 5000)
    await pools.delete("gateway.sized", "gpu")
    assert await pools.list("gateway.sized") == []
    with pytest.raises(PoolRefusedError, match=r"refused to delete pool 'gpu'.*not found"):
        await pools.delete("gateway.sized", "gpu")


@pytest.mark.usefixtures("admin")
async def test_it_waits_for_a_cluster_that_is_a_moment_late(kubernetes: ControlPlane) -> None:
    creating = asyncio.ensure_future(KubernetesPools("gateway").create("late", "default", Template()))
    await asyncio.to_thread(make_cluster, kubernetes, "late")
    await creating
    assert stored(kubernetes, names.PLURAL, "default-late")


@pytest.mark.usefixtures("powerless")
async def test_without_the_right_it_says_which_is_missing() -> None:
    pools = KubernetesPools(None)
    with pytest.raises(
        PoolRefusedError, match=r"Kubernetes refused .* gateway\.c1: .*daskclusters.*forbidden"
    ):
        await pools.create("gateway.c1", "default", Template())
    with pytest.raises(HTCDaskError, match="cannot list resource"):
        await pools.list("gateway.c1")
    with pytest.raises(PoolRefusedError, match="cannot patch resource"):
        await pools.scale("gateway.c1", "default", 1)
    with pytest.raises(PoolRefusedError, match="cannot delete resource"):
        await pools.delete("gateway.c1", "default")


@pytest.mark.usefixtures("powerless")
def test_a_cluster_whose_pool_is_refused_is_stopped(site: Site) -> None:
    with dask.config.set({"htcdask.pool-api": "kubernetes"}), site.gateway("kubernetes-api") as gateway:
        with pytest.raises(PoolRefusedError, match=r"forbidden.*nothing is left behind"):
            gateway.new_cluster()
        assert gateway.list_clusters() == []


@pytest.mark.usefixtures("admin")
async def test_who_may_write_pools_misses_no_right() -> None:
    assert await KubernetesPools(None).missing_rights(NAMESPACE) == ()


@pytest.mark.usefixtures("powerless")
async def test_each_right_that_is_missing_is_named(site: Site) -> None:
    rights = (
        "create htcworkerpools.htcdask.org",
        "list htcworkerpools.htcdask.org",
        "get daskclusters.gateway.dask.org",
        "use daskclusters.gateway.dask.org",
    )
    assert await KubernetesPools(None).missing_rights(NAMESPACE) == rights
    configured = {"htcdask.pool-api": "kubernetes", "htcdask.namespace": NAMESPACE}
    with dask.config.set(configured):
        async with site.gateway("no-rights", asynchronous=True) as gateway:
            report = await gateway.doctor()
    [finding] = [finding for finding in report.findings if finding.check == "pools"]
    assert finding.state == "fails"
    assert f"in the namespace {NAMESPACE}: {', '.join(rights)}" in finding.said


async def test_without_any_credential_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(tmp_path / "none", monkeypatch)
    with pytest.raises(HTCDaskError, match="neither a service account nor a kubeconfig"):
        await KubernetesPools(None).list("gateway.c1")


def test_a_namespace_in_the_cluster_s_name_precedes_the_configured_one() -> None:
    assert split_name("gateway.a29b", "elsewhere") == ("gateway", "a29b")
    assert split_name("a29b", "elsewhere") == ("elsewhere", "a29b")
    with pytest.raises(ValueError, match=r"htcdask\.namespace"):
        split_name("a29b")


def written_log(kubernetes: ControlPlane, name: str) -> None:
    workers = [{"name": "w1", "endedAt": "2026-01-01T00:00:00Z", "outcome": "Finished", "text": "well\n"}]
    log = {"apiVersion": names.API_VERSION, "kind": names.LOG_KIND}
    metadata = {"name": name, "namespace": NAMESPACE}
    kubernetes.kubectl(
        "apply", "-f", "-", input=json.dumps({**log, "metadata": metadata, "workers": workers})
    )


@pytest.mark.usefixtures("admin")
async def test_what_workers_printed_is_read(kubernetes: ControlPlane) -> None:
    written_log(kubernetes, "default-logged")
    [log] = await KubernetesPools(None).logs("gateway.logged", "default") or ()
    assert (log.name, log.outcome, log.text) == ("w1", "Finished", "well\n")
    assert await KubernetesPools(None).logs("gateway.logged", "other") == ()


@pytest.mark.usefixtures("powerless")
async def test_who_may_not_read_logs_is_told(kubernetes: ControlPlane) -> None:
    with pytest.raises(
        HTCDaskError, match=r"what workers of pool 'default' .*: htcworkerlogs.* is forbidden"
    ):
        await KubernetesPools(None).logs("gateway.logged", "default")
