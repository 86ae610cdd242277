"""The chart on a real API server: it installs, its rights are enough and no more, its policy decides."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from htcdask_api import names
from htcdask_operator import uninstall
from playground.controlplane import ControlPlane
from tests.chart.helm import CHART, EXAMPLE, render, run_helm

OPERATOR = "system:serviceaccount:htcdask:htcdask"
GATEWAY = "system:serviceaccount:gateway:api-dask-gateway"


def pool(name: str, cluster: str = "c1", **metadata: Any) -> str:
    return json.dumps(
        {
            "apiVersion": "htcdask.org/v1alpha1",
            "kind": "HTCWorkerPool",
            "metadata": {"name": name, "namespace": "gateway", **metadata},
            "spec": {"clusterRef": {"name": cluster}, "scaling": "Manual"},
        }
    )


def create(plane: ControlPlane, user: str, name: str, cluster: str = "c1", **metadata: Any) -> str:
    text = pool(name, cluster, **metadata)
    return plane.kubectl("create", "--as", user, "-f", "-", input=text, check=False)


def patch(plane: ControlPlane, user: str, name: str, content: dict[str, Any], *arguments: str) -> str:
    target = ("-n", "gateway", "patch", f"htcwp/{name}", "--type=merge", "-p", json.dumps(content))
    return plane.kubectl(*target, "--as", user, *arguments, check=False)


def grant(plane: ControlPlane, user: str, role: str, *names: str, verbs: str = "use") -> None:
    """Let `user` use these clusters of namespace gateway (all of them when none is named)."""
    rule: dict[str, Any] = {
        "apiGroups": ["gateway.dask.org"],
        "resources": ["daskclusters"],
        "verbs": [verbs],
    }
    if names:
        rule["resourceNames"] = list(names)
    manifest = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": role, "namespace": "gateway"},
        "rules": [rule],
    }
    plane.kubectl("apply", "-f", "-", input=json.dumps(manifest))
    plane.kubectl("-n", "gateway", "create", "rolebinding", role, f"--role={role}", f"--user={user}")


@pytest.fixture(scope="module")
def site(plane: ControlPlane) -> ControlPlane:
    """Three people who may edit pools: nobody's use, use on c1, and use on all; the policies are in force."""
    for user in ("nell", "carl", "ada"):
        role = "htcdask-htcdask-edit"
        plane.kubectl(
            "-n",
            "gateway",
            "create",
            "rolebinding",
            f"edit-{user}",
            f"--clusterrole={role}",
            f"--user={user}",
        )
        plane.kubectl(
            "-n",
            "gateway",
            "create",
            "rolebinding",
            f"view-{user}",
            "--clusterrole=htcdask-htcdask-view",
            f"--user={user}",
        )
    grant(plane, "carl", "use-c1", "c1")
    grant(plane, "ada", "use-all")
    plane.kubectl("create", "-f", "-", input=pool("existing"))
    # The API server compiles new policies in the background.
    deadline = time.monotonic() + 30
    refused = ("create", "--dry-run=server", "--as", "nell", "-f", "-")
    while "needs the verb" not in plane.kubectl(*refused, input=pool("probe"), check=False):
        assert time.monotonic() < deadline, "the admission policy never came into force"
    while "scaling needs" not in scale(plane, "nell", "existing", 0):
        assert time.monotonic() < deadline, "the policy for scaling never came into force"
    return plane


def scale(plane: ControlPlane, user: str, name: str, replicas: int) -> str:
    target = ("-n", "gateway", "scale", f"htcwp/{name}", f"--replicas={replicas}")
    return plane.kubectl(*target, "--as", user, check=False)


def test_without_use_a_pool_cannot_be_written_but_annotated(site: ControlPlane) -> None:
    answer = create(site, "nell", "stolen")
    assert 'needs the verb "use" on daskclusters.gateway.dask.org/c1 in namespace gateway' in answer
    assert "needs the verb" in patch(site, "nell", "existing", {"spec": {"maxReplicas": 7}})
    assert "scaling needs the verb" in scale(site, "nell", "existing", 3)
    assert "patched" in patch(site, "nell", "existing", {"metadata": {"annotations": {"note": "hello"}}})


def test_use_of_one_cluster_is_of_that_cluster(site: ControlPlane) -> None:
    assert "created" in create(site, "carl", "carls")
    assert "daskclusters.gateway.dask.org/c2" in create(site, "carl", "carls-2", cluster="c2")
    assert "patched" in patch(site, "carl", "carls", {"spec": {"replicas": 2}})
    assert "scaling needs the verb" in scale(site, "carl", "carls", 3)


def test_use_of_all_clusters_scales_too(site: ControlPlane) -> None:
    assert "created" in create(site, "ada", "adas", cluster="c3")
    assert "scaled" in scale(site, "ada", "adas", 3)


def test_deleting_is_a_matter_of_rbac_alone(site: ControlPlane) -> None:
    site.kubectl("create", "-f", "-", input=pool("doomed"))
    assert "deleted" in site.kubectl("-n", "gateway", "delete", "htcwp/doomed", "--as", "nell")


def test_nobody_but_the_operator_writes_status(site: ControlPlane) -> None:
    status = {"status": {"connected": 5}}
    assert "Forbidden" in patch(site, "ada", "existing", status, "--subresource=status")
    assert "Forbidden" in patch(site, GATEWAY, "existing", status, "--subresource=status")
    assert "patched" in patch(site, OPERATOR, "existing", status, "--subresource=status")


def test_the_gateway_manages_pools(site: ControlPlane) -> None:
    owner = {
        "apiVersion": "gateway.dask.org/v1alpha1",
        "kind": "DaskCluster",
        "name": "c4",
        "uid": "0f1c",
        "blockOwnerDeletion": False,
    }
    assert "created" in create(site, GATEWAY, "by-route", cluster="c4", ownerReferences=[owner])
    assert "patched" in patch(site, GATEWAY, "by-route", {"spec": {"replicas": 1}})
    assert "deleted" in site.kubectl("-n", "gateway", "delete", "htcwp/by-route", "--as", GATEWAY)


def test_the_operator_finalizes_adopts_and_reports(site: ControlPlane) -> None:
    site.kubectl("create", "-f", "-", input=pool("operated"))
    owner = {"apiVersion": "gateway.dask.org/v1alpha1", "kind": "DaskCluster", "name": "c1", "uid": "0f1c"}
    metadata = {"finalizers": ["htcdask.org/condor-jobs"], "ownerReferences": [owner]}
    assert "patched" in patch(site, OPERATOR, "operated", {"metadata": metadata})
    status = {
        "apiVersion": "htcdask.org/v1alpha1",
        "kind": "HTCWorkerPool",
        "metadata": {"name": "operated", "namespace": "gateway"},
        "status": {"replicas": 1},
    }
    site.kubectl(
        "apply",
        "--server-side",
        "--subresource=status",
        "--field-manager=htcdask",
        "--as",
        OPERATOR,
        "-f",
        "-",
        input=json.dumps(status),
    )
    assert "patched" in patch(site, OPERATOR, "operated", {"metadata": {"finalizers": None}})
    assert "created" in create(site, OPERATOR, "fallback", cluster="c9")


@pytest.mark.parametrize(
    ("verb", "resource", "namespace", "allowed"),
    [
        ("get", "secrets", "gateway", True),
        ("list", "secrets", "gateway", False),
        ("watch", "secrets", "gateway", False),
        ("get", "secrets", "htcdask", False),
        ("get", "secrets", "elsewhere", False),
        ("watch", "htcworkerpools.htcdask.org", "gateway", True),
        ("watch", "htcworkerpools.htcdask.org", "elsewhere", True),  # a namespace may lose its Roles first
        ("create", "htcworkerpools.htcdask.org", "elsewhere", False),
        ("watch", "daskclusters.gateway.dask.org", "gateway", True),
        ("patch", "daskclusters.gateway.dask.org", "gateway", False),
        ("create", "events", "gateway", True),
        ("create", "pods", "gateway", False),
        ("create", "leases.coordination.k8s.io", "htcdask", True),
        ("get", "leases.coordination.k8s.io/htcdask", "htcdask", True),
        ("patch", "leases.coordination.k8s.io/htcdask", "htcdask", True),
        ("patch", "leases.coordination.k8s.io/other", "htcdask", False),
        ("update", "leases.coordination.k8s.io/htcdask", "htcdask", False),
        ("delete", "leases.coordination.k8s.io/htcdask", "htcdask", False),
        ("patch", "leases.coordination.k8s.io/htcdask", "gateway", False),
        ("create", "leases.coordination.k8s.io", "gateway", True),
        ("patch", "leases.coordination.k8s.io/htcdask-worker-pools", "gateway", True),
        ("patch", "leases.coordination.k8s.io/htcdask-worker-pools", "elsewhere", False),
        ("delete", "leases.coordination.k8s.io/htcdask-worker-pools", "gateway", False),
        ("create", "leases.coordination.k8s.io", "kube-system", False),
        ("get", "namespaces/kube-system", "", True),
        ("get", "namespaces/gateway", "", True),
        ("get", "namespaces/elsewhere", "", False),
        ("list", "namespaces", "", False),
    ],
)
def test_the_operators_rights(
    plane: ControlPlane, verb: str, resource: str, namespace: str, allowed: bool
) -> None:
    group_resource, _, name = resource.partition("/")
    plural, _, group = group_resource.partition(".")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": OPERATOR,
            "resourceAttributes": {
                "verb": verb,
                "group": group,
                "resource": plural,
                "namespace": namespace,
                "name": name,
            },
        },
    }
    answer = json.loads(plane.kubectl("create", "-o", "json", "-f", "-", input=json.dumps(review)))
    assert answer["status"]["allowed"] is allowed


def test_the_pod_meets_the_restricted_standard(plane: ControlPlane) -> None:
    plane.kubectl("label", "namespace", "htcdask", "pod-security.kubernetes.io/enforce=restricted")
    template = render()["Deployment", "htcdask"]["spec"]["template"]
    manifest = {"apiVersion": "v1", "kind": "Pod", **template}
    manifest["metadata"] = {**template["metadata"], "name": "operator", "namespace": "htcdask"}
    plane.kubectl("create", "--dry-run=server", "-f", "-", input=yaml.safe_dump(manifest))


def test_every_object_is_known_to_the_api_server_field_by_field(plane: ControlPlane) -> None:
    manifest = yaml.safe_dump_all(render().values())
    plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", input=manifest)


def test_the_hook_ends_the_pools_and_lets_go_of_those_that_do_not_end(
    plane: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a namespace of its own; no operator runs here, so the pool with a finalizer does not end."""
    rendered = render("--set", "gateway.namespace=elsewhere")["ConfigMap", "htcdask"]["data"]["settings.yaml"]
    (tmp_path / "settings.yaml").write_text(rendered)
    for name, finalizers in (
        ("free", []),
        ("stuck", [names.FINALIZER]),
        ("shared", [names.FINALIZER, "a.b/c"]),
    ):
        text = json.loads(pool(name, finalizers=finalizers))
        text["metadata"]["namespace"] = "elsewhere"
        plane.kubectl("create", "-f", "-", input=json.dumps(text))
    files = (f"--settings={tmp_path / 'settings.yaml'}", f"--kubeconfig={plane.kubeconfig}")
    assert uninstall.main([*files, "--seconds=0"]) == 0
    left = plane.kubectl("-n", "elsewhere", "get", "htcwp", "-o", "jsonpath={.items[*].metadata.name}")
    assert left == "shared"  # somebody else's finalizer is theirs to take away
    kubernetes = plane.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
    ours = f"""condor_rm -constraint 'HTCDaskOperator == "htcdask.htcdask/{kubernetes}"'"""
    assert ours in capsys.readouterr().out
    assert uninstall.main([*files, "--seconds=60"]) == 0
    assert "condor_rm" not in capsys.readouterr().out


def test_uninstalling_keeps_the_pools(plane: ControlPlane) -> None:
    """A second release, so that the other tests keep theirs."""
    kubeconfig = ("--kubeconfig", str(plane.kubeconfig), "--namespace", "elsewhere")
    example = ("--values", str(EXAMPLE), "--set", "crds.install=false")
    run_helm("install", "second", str(CHART), *kubeconfig, *example)
    notes = run_helm("get", "notes", "second", *kubeconfig)
    assert "kubectl -n gateway get htcworkerpools -o wide" in notes
    run_helm("upgrade", "second", str(CHART), *kubeconfig, *example, "--set", "settings.leaseSeconds=7200")
    run_helm("uninstall", "second", "--no-hooks", *kubeconfig)  # no kubelet here to run one
    assert plane.kubectl("get", "crd", "htcworkerpools.htcdask.org", "-o", "name")
    assert "second" not in plane.kubectl("-n", "gateway", "get", "roles", "-o", "name")
