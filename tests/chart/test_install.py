"""The chart on a real API server: it installs, its rights are enough and no more, its policy decides."""

import json
import re
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from htcdask_api import manifest, names
from htcdask_operator import uninstall
from playground.node.controlplane import ControlPlane, free_ports
from tests.chart.helm import CHART, EXAMPLE, render, run_helm

OPERATOR = "system:serviceaccount:htcdask:htcdask"
GATEWAY = "system:serviceaccount:gateway:api-dask-gateway"


def pool(name: str, cluster: str = "c1", **metadata: Any) -> str:
    body = manifest.pool("gateway", name, cluster, scaling="Manual")
    body["metadata"] |= metadata
    return json.dumps(body)


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
    body = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": role, "namespace": "gateway"},
        "rules": [rule],
    }
    plane.kubectl("apply", "-f", "-", input=json.dumps(body))
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


def test_nobody_takes_the_names_of_another_clusters_pools(site: ControlPlane) -> None:
    ours, theirs = uuid.uuid4().hex, uuid.uuid4().hex
    assert "is of a pool of that cluster" in create(site, "ada", f"gpu-{theirs}", cluster=ours)
    assert "created" in create(site, "ada", f"gpu-{ours}", cluster=ours)


def apply_status(site: ControlPlane, who: str, name: str, status: dict[str, Any]) -> str:
    """Write a status as the operator does: with `patch`, kubectl would ask for it first."""
    pool = {
        "apiVersion": "htcdask.org/v1alpha1",
        "kind": "HTCWorkerPool",
        "metadata": {"name": name, "namespace": "gateway"},
        "status": status,
    }
    how = ("--server-side", "--subresource=status", "--field-manager=htcdask", "--as", who)
    return site.kubectl("apply", *how, "-f", "-", input=json.dumps(pool))


def test_nobody_but_the_operator_writes_status(site: ControlPlane) -> None:
    status = {"status": {"connected": 5}}
    assert "Forbidden" in patch(site, "ada", "existing", status, "--subresource=status")
    assert "Forbidden" in patch(site, GATEWAY, "existing", status, "--subresource=status")
    assert "serverside-applied" in apply_status(site, OPERATOR, "existing", {"connected": 5})


def test_the_gateway_manages_pools(site: ControlPlane) -> None:
    owner = manifest.owner_reference("c4", "0f1c")
    assert "created" in create(site, GATEWAY, "by-route", cluster="c4", ownerReferences=[owner])
    assert "patched" in patch(site, GATEWAY, "by-route", {"spec": {"replicas": 1}})
    assert "deleted" in site.kubectl("-n", "gateway", "delete", "htcwp/by-route", "--as", GATEWAY)


def test_the_operator_finalizes_adopts_and_reports(site: ControlPlane) -> None:
    site.kubectl("create", "-f", "-", input=pool("operated"))
    owner = manifest.owner_reference("c1", "0f1c")
    metadata = {"finalizers": ["htcdask.org/condor-jobs"], "ownerReferences": [owner]}
    assert "patched" in patch(site, OPERATOR, "operated", {"metadata": metadata})
    assert "serverside-applied" in apply_status(site, OPERATOR, "operated", {"replicas": 1})
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
        ("delete", "htcworkerpools.htcdask.org", "elsewhere", False),
        ("create", "htcworkerlogs.htcdask.org", "gateway", True),
        ("patch", "htcworkerlogs.htcdask.org", "elsewhere", False),
        ("list", "htcworkerlogs.htcdask.org", "gateway", False),
        ("delete", "htcworkerlogs.htcdask.org", "gateway", False),
        ("deletecollection", "htcworkerpools.htcdask.org", "gateway", False),
        ("update", "htcworkerpools.htcdask.org", "gateway", False),
        ("create", "events", "gateway", True),
        ("patch", "events", "gateway", False),
        ("create", "events", "htcdask", True),
        ("patch", "events", "htcdask", False),
        ("create", "events", "kube-system", False),
        ("list", "namespaces", "", False),
        ("get", "customresourcedefinitions.apiextensions.k8s.io", "", False),
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
        ("create", "configmaps/htcdask-offer", "gateway", True),
        ("patch", "configmaps/htcdask-offer", "gateway", True),
        ("get", "configmaps/htcdask-offer", "gateway", False),
        ("create", "configmaps", "gateway", False),
        ("patch", "configmaps/other", "gateway", False),
        ("patch", "configmaps/htcdask-offer", "htcdask", False),
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
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {**template["metadata"], "name": "operator", "namespace": "htcdask"}
    plane.kubectl("create", "--dry-run=server", "-f", "-", input=yaml.safe_dump(pod))


def test_every_object_is_known_to_the_api_server_field_by_field(plane: ControlPlane) -> None:
    text = yaml.safe_dump_all(render().values())
    plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", input=text)


def test_a_network_policy_with_peers_is_known_to_the_api_server_field_by_field(plane: ControlPlane) -> None:
    peers = [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}},
        {"ipBlock": {"cidr": "192.0.2.0/24"}},
    ]
    policy = render("--set-json", f"networkPolicy.from={json.dumps(peers)}")["NetworkPolicy", "htcdask"]
    text = yaml.safe_dump(policy)
    plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", input=text)


@pytest.fixture
def operators_kubeconfig(plane: ControlPlane, tmp_path: Path) -> Path:
    """The API server as the operator's own account, by a token as in its pod."""
    config = json.loads(plane.kubeconfig.read_text())
    token = plane.kubectl("-n", "htcdask", "create", "token", "htcdask").strip()
    config["users"][0]["user"] = {"token": token}
    made = tmp_path / "kubeconfig"
    made.write_text(json.dumps(config))
    return made


def make_pools(plane: ControlPlane, namespace: str, **finalizers: list[str]) -> dict[str, str]:
    """Pools with these finalizers; their uids."""
    uids = {}
    for name, kept in finalizers.items():
        text = json.loads(pool(name, finalizers=kept))
        text["metadata"]["namespace"] = namespace
        made = plane.kubectl("create", "-o", "jsonpath={.metadata.uid}", "-f", "-", input=json.dumps(text))
        uids[name] = made
    return uids


def drain(kubeconfig: Path, *arguments: str) -> int:
    given = (f"--kubeconfig={kubeconfig}", "--access-point=ap@condor", "--lease=htcdask/htcdask")
    return uninstall.main([*given, *arguments])


def test_the_hook_ends_the_pools_and_lets_go_of_those_that_do_not_end(
    plane: ControlPlane, operators_kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the rights that the chart gives. No operator runs here: a pool with a finalizer does not end."""
    uids = make_pools(
        plane,
        "gateway",
        **{f"free-{number}": [] for number in range(8)},
        stuck=[names.FINALIZER],
        shared=[names.FINALIZER, "a.b/c"],
        others=["a.b/c"],
    )
    assert drain(operators_kubeconfig, "--namespace=gateway", "--seconds=0") == 0
    left = plane.kubectl("-n", "gateway", "get", "htcwp", "-o", "jsonpath={.items[*].metadata.name}").split()
    assert sorted(left) == ["others", "shared"]  # somebody else's finalizer is theirs to take away
    said = capsys.readouterr().out
    assert re.search(r"(\d+) of \1 pools left \(", said)
    assert "not in the API server's words" not in said
    assert (
        f"""condor_rm -constraint 'member(HTCDaskPoolUID, {{"{uids["shared"]}", "{uids["stuck"]}"}})'"""
        in said
    )
    assert "gateway/shared, gateway/stuck" in said
    assert "on the access point ap@condor" in said
    assert drain(operators_kubeconfig, "--namespace=gateway", "--seconds=60") == 0
    assert "condor_rm" not in capsys.readouterr().out
    for name in left:
        plane.kubectl("-n", "gateway", "patch", f"htcwp/{name}", "--type=merge", "-p", NO_FINALIZERS)


NO_FINALIZERS = json.dumps({"metadata": {"finalizers": None}})


def test_the_hook_waits_for_jobs_and_then_says_that_all_ended(
    plane: ControlPlane, operators_kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_pools(plane, "gateway", ends=[names.FINALIZER])
    target = ("-n", "gateway", "patch", "htcwp/ends", "--type=merge", "-p", NO_FINALIZERS)
    later = threading.Timer(2, plane.kubectl, target)
    later.start()
    began = time.monotonic()
    assert drain(operators_kubeconfig, "--namespace=gateway", "--seconds=60") == 0
    later.join()
    assert 1.5 < time.monotonic() - began < 20
    said = capsys.readouterr().out
    assert "1 pools ended, 0 released" in said
    assert "condor_rm" not in said


def test_the_hook_of_a_second_release_leaves_the_first_ones_pools_alone(
    plane: ControlPlane, operators_kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the rights that the chart gives; until the first one has been silent for its lease's time."""
    make_pools(plane, "gateway", busy=[names.FINALIZER])
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": names.CLAIM, "namespace": "gateway"},
        "spec": {"holderIdentity": "first/htcdask/htcdask-0", "leaseDurationSeconds": 4},
    }
    plane.kubectl("apply", "-f", "-", input=json.dumps(lease))
    ended = threading.Event()

    def renew() -> None:
        for second in range(10, 60):
            spec = {"spec": {"renewTime": f"2026-01-01T00:00:{second}.000000Z"}}
            target = ("-n", "gateway", "patch", "lease", names.CLAIM, "--type=merge", "-p", json.dumps(spec))
            plane.kubectl(*target)
            if ended.wait(1):
                return

    first = threading.Thread(target=renew)
    first.start()
    try:
        assert drain(operators_kubeconfig, "--namespace=gateway", "--seconds=30") == 0
        said = capsys.readouterr().out
        assert "The HTCDask release first/htcdask works for the namespace gateway: its pools stay." in said
        busy = json.loads(plane.kubectl("-n", "gateway", "get", "htcwp", "busy", "-o", "json"))
        assert "deletionTimestamp" not in busy["metadata"]
    finally:
        ended.set()
        first.join()
    assert drain(operators_kubeconfig, "--namespace=gateway", "--seconds=6") == 0
    assert "gateway/busy" in capsys.readouterr().out
    plane.kubectl("-n", "gateway", "delete", "lease", names.CLAIM)


def test_the_hook_ends_with_a_lease_that_keeps_the_operator_from_working(
    plane: ControlPlane, operators_kubeconfig: Path
) -> None:
    """Whether there was a Lease or not, by the operator's own rights; its next renewal fails."""
    lease = ("-n", "htcdask", "get", "lease", "htcdask", "-o", "json")
    plane.kubectl("-n", "htcdask", "delete", "lease", "htcdask", "--ignore-not-found")
    assert drain(operators_kubeconfig, "--namespace=gateway", "--seconds=1") == 0
    assert json.loads(plane.kubectl(*lease))["spec"]["holderIdentity"] == "uninstall"
    held = {"spec": {"holderIdentity": "operator-1", "leaseDurationSeconds": 3}}
    plane.kubectl("-n", "htcdask", "patch", "lease", "htcdask", "--type=merge", "-p", json.dumps(held))
    before = json.loads(plane.kubectl(*lease))
    assert drain(operators_kubeconfig, "--namespace=gateway", "--seconds=1") == 0
    after = json.loads(plane.kubectl(*lease))
    assert (after["spec"]["holderIdentity"], after["spec"]["leaseDurationSeconds"]) == ("uninstall", 20)
    assert after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]
    assert after["spec"]["renewTime"]


def test_the_hook_leaves_the_namespace_free_for_the_next_release(
    plane: ControlPlane, operators_kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the operator's own rights: its claim when it is over, and never one that somebody renews."""
    claim = ("-n", "gateway", "get", "lease", names.CLAIM, "-o", "json")

    def hold(holder: str, seconds: int) -> None:
        plane.kubectl("-n", "gateway", "delete", "lease", names.CLAIM, "--ignore-not-found")
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": names.CLAIM, "namespace": "gateway"},
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": seconds,
                "renewTime": "2026-01-01T00:00:00.000000Z",
            },
        }
        plane.kubectl("create", "-f", "-", input=json.dumps(body))

    hold("htcdask/htcdask/dead-pod", 4)
    assert drain(operators_kubeconfig, "--namespace=gateway", "--seconds=1") == 0
    assert not json.loads(plane.kubectl(*claim))["spec"].get("holderIdentity")
    assert "given" not in capsys.readouterr().out
    hold("htcdask/htcdask/dead-pod", 300)
    began = time.monotonic()
    assert drain(operators_kubeconfig, "--namespace=gateway", "--seconds=1") == 0
    assert time.monotonic() - began < uninstall.CLAIM_SECONDS + 10
    assert json.loads(plane.kubectl(*claim))["spec"]["holderIdentity"] == "htcdask/htcdask/dead-pod"
    said = capsys.readouterr().out
    assert f"has not given the Lease {names.CLAIM} in gateway back" in said
    assert re.search(r"waits for it, 2\d\d s at most", said)
    plane.kubectl("-n", "gateway", "delete", "lease", names.CLAIM)


def test_a_right_that_is_missing_is_named_by_the_hook(
    plane: ControlPlane,
    operators_kubeconfig: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a namespace where the operator has no Role."""
    monkeypatch.setattr(uninstall, "RELEASE_SECONDS", 1.0)
    make_pools(plane, "elsewhere", alien=[])
    assert drain(operators_kubeconfig, "--namespace=elsewhere", "--seconds=1") == uninstall.EXPLAINED
    said = capsys.readouterr().out
    assert 'User "system:serviceaccount:htcdask:htcdask" cannot delete resource "htcworkerpools"' in said
    assert 'in the namespace "elsewhere"' in said
    assert "run `helm uninstall` again" in said
    plane.kubectl("-n", "elsewhere", "delete", "htcwp", "alien")


def test_an_api_server_that_is_away_is_waited_for_and_told(
    tmp_path: Path, plane: ControlPlane, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uninstall, "RELEASE_SECONDS", 1.0)
    config = json.loads(plane.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_ports(1)[0]}"
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    assert drain(tmp_path / "kubeconfig", "--namespace=gateway", "--seconds=1") == uninstall.EXPLAINED
    assert "the API server cannot be reached" in capsys.readouterr().out


def test_an_api_server_without_the_crd_is_believed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also one that has another resource of the same group. Both answer 404 in other words."""
    with ControlPlane(tmp_path) as empty:
        assert drain(empty.kubeconfig, "--namespace=default", "--seconds=60") == 0
        assert "there are no HTCWorkerPools in this cluster" in capsys.readouterr().out
        other = yaml.safe_load((CHART.parents[1] / "crds/htcworkerpool.yaml").read_text())
        other["metadata"]["name"] = "others.htcdask.org"
        other["spec"]["names"] = {"kind": "Other", "plural": "others"}
        empty.kubectl("apply", "-f", "-", input=json.dumps(other))
        empty.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/others.htcdask.org")
        assert drain(empty.kubeconfig, "--namespace=default", "--seconds=60") == 0
        assert "there are no HTCWorkerPools in this cluster" in capsys.readouterr().out


def test_the_hooks_pod_meets_the_restricted_standard_and_its_job_is_taken(plane: ControlPlane) -> None:
    plane.kubectl(
        "label", "namespace", "htcdask", "pod-security.kubernetes.io/enforce=restricted", "--overwrite"
    )
    job = render()["Job", "htcdask-uninstall"]
    said = plane.kubectl(
        "create", "--dry-run=server", "--validate=strict", "-f", "-", input=yaml.safe_dump(job), check=False
    )
    assert "created" in said
    assert "would violate" not in said


# A second release on the same cluster


def helm(plane: ControlPlane, *words: str, namespace: str = "elsewhere") -> str:
    return run_helm(*words, "--kubeconfig", str(plane.kubeconfig), "--namespace", namespace)


def crd(plane: ControlPlane) -> dict[str, Any]:
    return dict(json.loads(plane.kubectl("get", "crd", "htcworkerpools.htcdask.org", "-o", "json")))


def test_a_second_release_needs_no_other_values_and_leaves_the_first_ones_crd_alone(
    plane: ControlPlane,
) -> None:
    before = crd(plane)
    example = ("--values", str(EXAMPLE))
    helm(plane, "install", "second", str(CHART), *example)
    notes = helm(plane, "get", "notes", "second")
    assert "kubectl -n gateway get htcworkerpools\n" in notes
    assert "belongs to htcdask/htcdask, and was left as it is" in notes
    helm(plane, "upgrade", "second", str(CHART), *example, "--set", "settings.jobExpirySeconds=7200")
    assert crd(plane) == before
    # Both go on being upgraded, and whichever goes, nothing of the other does.
    assert "belongs to" not in helm(plane, "upgrade", "htcdask", str(CHART), *example, namespace="htcdask")
    shared = ("get", "clusterroles,validatingadmissionpolicies,crds", "-o", "name")
    both = plane.kubectl(*shared).split()
    helm(plane, "uninstall", "second", "--no-hooks")  # no kubelet here to run one
    left = plane.kubectl(*shared).split()
    assert len(both) - len(left) == 5
    assert all("elsewhere-second" in name for name in set(both) - set(left))
    assert "second" not in plane.kubectl("-n", "gateway", "get", "roles", "-o", "name")
    assert crd(plane)["metadata"]["uid"] == before["metadata"]["uid"]


def test_a_release_takes_a_crd_over_as_the_notes_say(plane: ControlPlane) -> None:
    """Of a release that is gone: its name is all that is left of it."""
    gone = {"meta.helm.sh/release-name": "gone", "meta.helm.sh/release-namespace": "gone"}
    plane.kubectl("annotate", "--overwrite", "crd", NAME, *(f"{k}={v}" for k, v in gone.items()))
    example = ("--values", str(EXAMPLE))
    said = helm(plane, "upgrade", "htcdask", str(CHART), *example, namespace="htcdask")
    assert "belongs to gone/gone" in said
    lines = [line.strip(" \\") for line in said.splitlines()]
    first = next(index for index, line in enumerate(lines) if line.startswith("kubectl annotate"))
    for command in (" ".join(lines[first : first + 2]), lines[first + 2]):
        plane.kubectl(*command.split()[1:])
    said = helm(plane, "upgrade", "htcdask", str(CHART), *example, namespace="htcdask")
    assert "belongs to" not in said
    assert crd(plane)["metadata"]["labels"]["app.kubernetes.io/instance"] == "htcdask"


NAME = "htcworkerpools.htcdask.org"


def test_a_crd_that_helm_did_not_install_is_left_alone(plane: ControlPlane) -> None:
    """As GitOps or `kubectl apply -f crds/` bring it."""
    notes = {f"meta.helm.sh/release-{each}": None for each in ("name", "namespace")}
    patch = json.dumps({"metadata": {"annotations": notes}})
    plane.kubectl("patch", "crd", NAME, "--type=merge", "-p", patch)
    example = ("--values", str(EXAMPLE))
    try:
        helm(plane, "install", "second", str(CHART), *example)
        assert "belongs to nobody's release" in helm(plane, "get", "notes", "second")
        helm(plane, "uninstall", "second", "--no-hooks")
        assert crd(plane)
    finally:
        back = {f"meta.helm.sh/release-{each}": "htcdask" for each in ("name", "namespace")}
        plane.kubectl(
            "patch", "crd", NAME, "--type=merge", "-p", json.dumps({"metadata": {"annotations": back}})
        )


def notes_of(plane: ControlPlane, *changes: str) -> str:
    given = ("--dry-run=server", "--values", str(EXAMPLE), *changes)
    said = helm(plane, "upgrade", "htcdask", str(CHART), *given, namespace="htcdask")
    return said.partition("\nNOTES:\n")[2]


def test_the_notes_say_how_long_helm_has_to_wait(plane: ControlPlane) -> None:
    assert "--timeout" not in notes_of(plane)
    assert "uninstall htcdask --timeout 780s" in notes_of(plane, "--set", "uninstall.seconds=600")
    assert "delete htcworkerpools --all" in notes_of(plane, "--set", "uninstall.deletePools=false")


def test_the_notes_say_what_a_user_may_have_and_is_to_htcondor(plane: ControlPlane) -> None:
    said = notes_of(plane)
    assert "a user as many as HTCondor gives" in said
    assert (
        "To HTCondor all users are one, the operator's: name a group (settings.accountingGroup), and each is "
        "an accounting user of their own in it, so that they share the pool fairly, and the idle jobs of one "
        "that no slot takes cannot keep those of the others from being offered. "
    ) in " ".join(said.split())
    assert "in the group" not in said
    limited = ("--set", "settings.limits.maxReplicasPerUser=50")
    said = notes_of(plane, "--set", "settings.accountingGroup=group_dask", *limited)
    assert "To HTCondor each user is an accounting user of their own, in the group group_dask.\n" in said
    assert "all users are one" not in said
    assert "and a user 50." in said


def test_the_notes_say_where_the_gateways_values_go(plane: ControlPlane) -> None:
    assert (
        "once its own release has gateway-values.yaml of this chart among its values, in an umbrella chart "
        "nested under dask-gateway (docs/gateway.md). "
    ) in " ".join(notes_of(plane).split())
    said = notes_of(plane, "--set", "gateway.serviceAccountName=")
    assert "gateway-values.yaml" not in said
    assert "the gateway cannot make pools for its users" in said


def test_the_notes_name_what_is_not_there_yet(plane: ControlPlane) -> None:
    said = notes_of(plane)
    assert "NOT THERE YET:" in said
    assert "kubectl -n htcdask create secret generic condor-token --from-file=token=FILE" in said
    assert "the ServiceAccount api-dask-gateway in namespace gateway" in said
    token = ("-n", "htcdask", "create", "secret", "generic", "condor-token")
    account = ("-n", "gateway", "create", "serviceaccount", "api-dask-gateway")
    try:
        plane.kubectl(*token, "--from-literal=tokens=x")
        plane.kubectl(*account)
        said = notes_of(plane)
        assert "the key token in the Secret condor-token of namespace htcdask" in said
        assert "ServiceAccount" not in said
        plane.kubectl("-n", "htcdask", "delete", "secret", "condor-token")
        plane.kubectl(*token, "--from-literal=token=x")
        assert "NOT THERE YET" not in notes_of(plane)
    finally:
        plane.kubectl("-n", "htcdask", "delete", "secret", "condor-token")
        plane.kubectl("-n", "gateway", "delete", "serviceaccount", "api-dask-gateway")
