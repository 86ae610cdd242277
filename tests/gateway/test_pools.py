"""The routes of a cluster's pools: what their owner can do, and nobody else."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from htcdask_api import manifest, names
from playground.build.errors import PlaygroundError
from playground.node.controlplane import ControlPlane
from tests.gateway.servers import NAMESPACE, OURS, Site, account_kubeconfig, extra_config, running_api

TEMPLATE = {"containerImage": "/cvmfs/unpacked.cern.ch/org/image:tag", "cores": 2}
SPEC = {"maxReplicas": 20, "template": TEMPLATE}
POOL = {"name": "default", "spec": SPEC}


def pools(cluster: str, name: str = "") -> str:
    return f"/api/v1/clusters/{cluster}/htcondor/pools" + (f"/{name}" if name else "")


def made(site: Site, user: str = "ada") -> str:
    """A cluster with one pool, `default`."""
    cluster = site.cluster(user)
    status, answer = site.api(user, "POST", pools(cluster), POOL)
    assert status == 201, answer
    return cluster


def stopped(site: Site, cluster: str, user: str = "ada") -> None:
    site.api(user, "DELETE", f"/api/v1/clusters/{cluster}")
    site.wait(cluster, ".spec.active", "false")


def stored(site: Site, cluster: str, name: str = "default") -> dict[str, Any]:
    return site.get("htcworkerpool", f"{name}-{cluster.partition('.')[2]}")


@pytest.fixture(scope="module")
def empty(site: Site) -> str:
    """A cluster of ada's; its tests leave it without a pool."""
    return site.cluster()


@pytest.fixture(scope="module")
def kept(site: Site) -> str:
    """A cluster of ada's with the pool `default`; its tests leave that as it is."""
    return made(site)


def test_the_gateway_tells_that_it_has_pools(site: Site) -> None:
    status, told = site.api("ada", "GET", "/api/v1/htcondor")
    assert (status, told["version"], told["defaultWorkerBackend"]) == (200, 1, "kubernetes")


def test_the_whole_life_of_a_pool(site: Site) -> None:
    cluster = site.cluster()
    assert site.api("ada", "GET", pools(cluster))[1]["pools"] == []
    status, pool = site.api("ada", "POST", pools(cluster), POOL)
    assert status == 201
    assert pool.pop("lacking") == []
    assert pool.keys() == {"name", "spec", "status", "creationTimestamp"}
    assert pool["name"] == "default"
    assert pool["spec"]["template"] == TEMPLATE
    its = site.get("daskcluster", cluster.partition(".")[2])["metadata"]
    assert its["annotations"][names.POOL_MADE_ANNOTATION] == "true", "whatever becomes of the pool"
    status, told = site.api("ada", "GET", pools(cluster))
    assert (status, told["pools"]) == (200, [pool])
    number = site.get("daskcluster", cluster.partition(".")[2])["spec"].get(names.WANTED_FIELD)
    assert told.keys() == {"wanted", "pools"} and told["wanted"] == number
    assert site.api("ada", "GET", pools(cluster, "default")) == (200, pool)

    status, pool = site.api("ada", "PATCH", pools(cluster, "default"), {"spec": {"maxReplicas": 7}})
    assert (status, pool["spec"]["maxReplicas"]) == (200, 7)
    assert pool["spec"]["template"] == TEMPLATE

    assert site.api("ada", "DELETE", pools(cluster, "default")) == (204, None)
    assert site.api("ada", "GET", pools(cluster))[1]["pools"] == []


def test_a_pool_that_is_being_deleted_takes_no_more_numbers(site: Site) -> None:
    cluster = made(site)
    name = f"default-{cluster.partition('.')[2]}"

    def patch(finalizers: list[str]) -> None:
        text = json.dumps({"metadata": {"finalizers": finalizers}})
        site.plane.kubectl("-n", "gateway", "patch", f"htcwp/{name}", "--type=merge", "-p", text)

    patch(["example.org/waits"])
    assert site.api("ada", "DELETE", pools(cluster, "default"))[0] == 204
    answer = site.api("ada", "PATCH", pools(cluster, "default"), {"spec": {"maxReplicas": 7}})
    assert answer == (409, {"error": f"Pool 'default' of cluster {cluster} is being deleted"})
    patch([])


def test_the_server_writes_name_cluster_and_owner(site: Site) -> None:
    cluster = made(site)
    owner, pool = site.dask_cluster(cluster)["metadata"], stored(site, cluster)
    assert pool["metadata"]["name"] == f"default-{owner['name']}"
    assert pool["metadata"]["labels"] == {"htcdask.org/cluster": owner["name"]}
    assert pool["spec"]["clusterRef"] == {"name": owner["name"]}
    # The extension has its own copy of what `manifest` says. To Kubernetes, no `controller` is a false one.
    [written] = pool["metadata"]["ownerReferences"]
    assert {"controller": False, **written} == manifest.owner_reference(owner["name"], owner["uid"])


def test_the_operators_status_is_shown(site: Site) -> None:
    cluster = made(site)
    name = stored(site, cluster)["metadata"]["name"]
    change = '{"status": {"desiredReplicas": 4, "idle": 4}}'
    site.kubectl("patch", "htcworkerpool", name, "--subresource=status", "--type=merge", "--patch", change)
    _, pool = site.api("ada", "GET", pools(cluster, "default"))
    assert pool["status"] == {"desiredReplicas": 4, "idle": 4}


REQUESTS: list[tuple[str, str, object]] = [
    ("GET", "", None),
    ("POST", "", {**POOL, "name": "mine"}),
    ("GET", "default", None),
    ("PATCH", "default", {"spec": {"maxReplicas": 0}}),
    ("DELETE", "default", None),
]
EACH = pytest.mark.parametrize(("method", "name", "body"), REQUESTS, ids=lambda part: str(part)[:10])


@EACH
def test_a_stranger_is_told_that_there_is_no_such_cluster(
    site: Site, kept: str, method: str, name: str, body: object
) -> None:
    before = stored(site, kept)
    answer = site.api("eve", method, pools(kept, name), body)
    assert answer == (404, {"error": f"Cluster {kept} not found"})
    # and it is the answer for a cluster that nobody has
    nobodys = f"gateway.{'0' * 32}"
    answer = site.api("eve", method, pools(nobodys, name), body)
    assert answer == (404, {"error": f"Cluster {nobodys} not found"})
    assert stored(site, kept) == before
    assert [pool["name"] for pool in site.api("ada", "GET", pools(kept))[1]["pools"]] == ["default"]


@EACH
def test_who_does_not_log_in_is_told_to(site: Site, kept: str, method: str, name: str, body: object) -> None:
    assert site.api(None, method, pools(kept, name), body)[0] == 401
    # the cluster's token, which user code in the scheduler can read, is no login for pools
    assert site.api(None, method, pools(kept, name), body, token=site.token(kept))[0] == 401


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_pool_of_another_cluster_is_not_in_this_one(site: Site, kept: str, method: str) -> None:
    mine = site.cluster("eve")
    full_name = f"default-{kept.partition('.')[2]}"
    for name in ("default", full_name):
        status, answer = site.api("eve", method, pools(mine, name), {"spec": {"maxReplicas": 0}})
        assert status == 404
        assert answer["error"] == f"Cluster {mine} has no pool {name!r}; its pools: []"
    assert stored(site, kept)["spec"]["maxReplicas"] == 20


def test_a_pool_named_like_mine_for_another_cluster_is_not_mine(site: Site) -> None:
    """Somebody with the Kubernetes API can name a pool as they like: what counts is its clusterRef."""
    theirs, mine = site.cluster("ada"), site.cluster("eve")
    name = f"default-{mine.partition('.')[2]}"
    pool = manifest.pool(NAMESPACE, name, theirs.partition(".")[2], **SPEC)
    site.kubectl("create", "-f", "-", input=json.dumps(pool))
    assert site.api("eve", "GET", pools(mine, "default"))[0] == 404
    assert site.api("eve", "DELETE", pools(mine, "default"))[0] == 404
    assert site.api("ada", "GET", pools(theirs, name))[1]["name"] == name
    status, answer = site.api("eve", "POST", pools(mine), POOL)
    assert (status, answer["error"]) == (409, f'htcworkerpools.htcdask.org "{name}" already exists')


def test_a_cluster_of_another_gateway_is_nobodys_here(site: Site) -> None:
    cluster = made(site)
    label = "gateway.dask.org/instance=another"
    site.kubectl("label", "--overwrite", "daskcluster", cluster.partition(".")[2], label)
    assert site.api("ada", "GET", pools(cluster))[0] == 404


@pytest.mark.parametrize(
    "cluster",
    ["x", "gateway", "gateway.", ".x", "gateway.a.b", "gateway.A", "kube-system.x", "gateway.a%0Ab"],
)
def test_odd_names_of_clusters_are_just_not_found(site: Site, cluster: str) -> None:
    status, answer = site.api("ada", "GET", pools(cluster))
    assert (status, list(answer)) == (404, ["error"])


@pytest.mark.parametrize(("method", "name", "body"), REQUESTS[1:2] + REQUESTS[3:4])
def test_a_stopped_cluster_takes_no_change(site: Site, method: str, name: str, body: object) -> None:
    cluster = made(site)
    stopped(site, cluster)
    status, answer = site.api("ada", method, pools(cluster, name), body)
    assert (status, answer["error"]) == (409, f"Cluster {cluster} is stopped: start a new one")
    assert site.api("ada", "GET", pools(cluster, "default"))[0] == 200
    assert site.api("ada", "DELETE", pools(cluster, "default"))[0] == 204


def test_a_cluster_with_kubernetes_workers_takes_no_pool(site: Site) -> None:
    cluster = site.cluster(worker_backend="kubernetes")
    status, answer = site.api("ada", "POST", pools(cluster), POOL)
    assert (status, answer["error"]) == (
        409,
        f"Cluster {cluster} was not made with worker_backend='htcondor'",
    )


def test_a_name_is_taken_once(site: Site, kept: str) -> None:
    status, answer = site.api("ada", "POST", pools(kept), POOL)
    assert status == 409
    assert answer["error"].startswith(f"Cluster {kept} already has a pool 'default': take another name")


def test_there_are_at_most_eight_pools_however_fast_they_are_asked_for(site: Site) -> None:
    cluster = site.cluster()

    def post(number: int) -> int:
        return site.api("ada", "POST", pools(cluster), {**POOL, "name": f"pool-{number}"})[0]

    with ThreadPoolExecutor(12) as threads:
        statuses = sorted(threads.map(post, range(12)))
    assert statuses == [201] * 8 + [409] * 4
    status, answer = site.api("ada", "POST", pools(cluster), POOL)
    assert (status, answer["error"]) == (409, f"Cluster {cluster} already has 8 pools, which is the most")


def test_another_replica_knows_the_cluster_at_once(site: Site) -> None:
    for _ in range(5):
        cluster = site.cluster()
        assert site.replica("ada", "POST", pools(cluster), POOL)[0] == 201
        assert site.api("ada", "GET", pools(cluster, "default"))[0] == 200


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[]", b'"x"', b"null", b"4", b"[" * 100_000])
def test_a_body_that_is_no_json_object(site: Site, kept: str, raw: bytes) -> None:
    wanted = "the body of the request must be a JSON object with"
    for method, name, fields in (("POST", "", "name and spec"), ("PATCH", "default", "spec")):
        status, answer = site.api("ada", method, pools(kept, name), raw=raw)
        assert (status, answer) == (422, {"error": f"{wanted} {fields}"})


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"name": "x"}, "spec: is missing"),
        ({"spec": SPEC}, "name: is missing"),
        ({**POOL, "metadata": {}}, "metadata: is not for you to set: the gateway writes it"),
        ({**POOL, "ownerReferences": []}, "ownerReferences: is not for you to set: the gateway writes it"),
        ({**POOL, "spec": []}, "spec: must be an object"),
        ({**POOL, "spec": None}, "spec: must be an object"),
        *(
            (
                {**POOL, "spec": {**SPEC, "clusterRef": other}},
                "spec.clusterRef: must be the cluster in the address",
            )
            for other in ({"name": "another"}, None, {}, "x", {"name": "x", "namespace": "y"})
        ),
        *(
            ({**POOL, "name": name}, "name: must be 1 to 30 of a-z, 0-9 and '-'")
            for name in (
                "",
                "A",
                "-a",
                "a-",
                "a_b",
                "a.b",
                "a\n",
                "../x",
                "ü",
                "x" * 31,
                4,
                None,
                ["x"],
                True,
            )
        ),
        ({**POOL, "spec": {"tempalte": {}}}, 'unknown field "spec.tempalte"'),
        (
            {**POOL, "spec": {**SPEC, "template": {"cores": 0}}},
            "spec.template.cores: Invalid value: 0: should be",
        ),
        (
            {**POOL, "spec": {**SPEC, "template": {"cores": "2"}}},
            "spec.template.cores: must be of type integer",
        ),
        (
            {**POOL, "spec": {**SPEC, "template": {"memory": "8GB"}}},
            "spec.template.memory: must be a Kubernetes quantity",
        ),
        (
            {**POOL, "spec": {**SPEC, "template": {"containerImage": "image:tag"}}},
            "spec.template.containerImage: must be an absolute path",
        ),
        (
            {**POOL, "spec": {**SPEC, "maxReplicas": -1}},
            "spec.maxReplicas: Invalid value: -1: should be greater",
        ),
        ({**POOL, "spec": {**SPEC, "replicas": 4}}, "use cluster.scale(n), or set spec.scaling to Manual"),
    ],
    ids=lambda part: str(part)[-40:],
)
def test_a_body_that_asks_for_what_cannot_be(site: Site, empty: str, body: object, error: str) -> None:
    status, answer = site.api("ada", "POST", pools(empty), body)
    assert status == 422
    assert error in answer["error"]
    assert site.api("ada", "GET", pools(empty))[1]["pools"] == []


@pytest.mark.parametrize(
    "environment",
    [
        "sesame",
        ["sesame"],
        {"TOKEN": "sesame" * 5_000},
        {"TOKEN": "sesame\n"},
        {"TOKEN": ["sesame"]},
        {"TOKEN": {"a": "sesame"}},
        {"TOKEN": 7_236_373},
        {"a-b": "sesame"},
        {f"A{number}": "sesame" for number in range(300)},
        {f"A{number}": "sesame" * 2_000 for number in range(4)},
    ],
    ids=lambda environment: str(environment)[:20],
)
def test_a_refusal_shows_no_value_of_an_environment_variable(
    site: Site, empty: str, environment: object
) -> None:
    body = {**POOL, "spec": {**SPEC, "template": {**TEMPLATE, "environment": environment}}}
    status, answer = site.api("ada", "POST", pools(empty), body)
    assert status == 422
    assert "environment" in answer["error"]
    assert "sesame" not in answer["error"]
    assert "7236373" not in answer["error"]


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ({"template": {"cores": 4}}, "template cannot be changed: a new environment is a new pool"),
        ({"clusterRef": {"name": "another"}}, "spec.clusterRef: must be the cluster in the address"),
        ({"clusterRef": None}, "spec.clusterRef: must be the cluster in the address"),
        ({"replicas": 3}, "use cluster.scale(n), or set spec.scaling to Manual"),
        ({"unknown": 3}, 'unknown field "spec.unknown"'),
    ],
)
def test_a_change_that_cannot_be(site: Site, kept: str, spec: object, error: str) -> None:
    before = stored(site, kept)
    status, answer = site.api("ada", "PATCH", pools(kept, "default"), {"spec": spec})
    assert (status, error in answer["error"]) == (422, True), answer
    assert stored(site, kept) == before


def test_a_body_may_name_its_own_cluster(site: Site) -> None:
    cluster = site.cluster()
    spec = {**SPEC, "clusterRef": {"name": cluster.partition(".")[2]}}
    assert site.api("ada", "POST", pools(cluster), {"name": "default", "spec": spec})[0] == 201


@pytest.mark.parametrize("path", ["/api/v1/htcondor", pools("gateway.x"), pools("gateway.x", "y")])
def test_what_a_route_does_not_offer(site: Site, path: str) -> None:
    assert site.api("ada", "PUT", path, {}) == (405, {"error": "Method Not Allowed"})


def test_the_kubernetes_api_holds_a_change_to_the_uid_that_it_names(site: Site, kept: str) -> None:
    """What PATCH and DELETE rely on when the pool is replaced by a namesake between two calls."""
    name = stored(site, kept)["metadata"]["name"]
    change = json.dumps({"metadata": {"uid": "another"}, "spec": {"maxReplicas": 1}})
    with pytest.raises(PlaygroundError, match=r"metadata\.uid: Invalid value"):
        site.kubectl("patch", "htcworkerpool", name, "--type=merge", "--patch", change)
    path = f"/apis/htcdask.org/v1alpha1/namespaces/{NAMESPACE}/htcworkerpools/{name}"
    options = json.dumps({"preconditions": {"uid": "another"}})
    with pytest.raises(PlaygroundError, match="UID in the precondition"):
        site.kubectl("delete", "--raw", path, "-f", "-", input=options)


def test_a_gateway_without_the_charts_role_says_whom_to_tell(
    kept: str, plane: ControlPlane, tmp_path: Path
) -> None:
    plane.kubectl("create", "serviceaccount", "plain", f"--namespace={NAMESPACE}")
    plane.kubectl(
        *("create", "clusterrolebinding", "plain", "--clusterrole=api-dask-gateway"),
        f"--serviceaccount={NAMESPACE}:plain",
    )
    kubeconfig = account_kubeconfig(plane, "plain", tmp_path)
    with running_api(tmp_path, "plain", kubeconfig, extra_config(OURS)) as api:
        status, answer = api("ada", "GET", pools(kept))
    assert status == 500
    assert "(403: htcworkerpools.htcdask.org is forbidden: " in answer["error"]
    assert answer["error"].endswith("is the htcdask chart installed, with its role for the gateway?")
