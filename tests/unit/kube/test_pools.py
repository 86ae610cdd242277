"""An HTCWorkerPool's body, good and bad."""

from typing import Any

import pytest

from htcdask_api import PoolStatus, manifest, names
from htcdask_operator.kube.pools import cluster_name, facts

BODY: dict[str, Any] = {
    "metadata": {
        "namespace": "gateway",
        "name": "default-a29b",
        "uid": "p1",
        "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:10Z",
        "finalizers": [names.FINALIZER],
        "ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "other"},
            manifest.owner_reference("a29b", "u1"),
        ],
    },
    "spec": {"clusterRef": {"name": "a29b"}, "template": {"containerImage": "/cvmfs/image", "cores": 2}},
    "status": {"replicas": 2, "conditions": []},
}


def with_metadata(**changes: Any) -> Any:
    return {**BODY, "metadata": {**BODY["metadata"], **changes}}


def test_a_pool() -> None:
    pool = facts(BODY)
    assert (pool.namespace, pool.name, pool.uid, pool.generation) == ("gateway", "default-a29b", "p1", 3)
    assert pool.created_at == 1767225610
    assert pool.spec.cluster_ref.name == "a29b"
    assert pool.spec.template.cores == 2
    assert pool.status.replicas == 2
    assert (pool.finalized, pool.deleting, pool.release_without_cleanup, pool.invalid) == (
        True,
        False,
        False,
        None,
    )
    assert pool.owner_uid == "u1"


def test_a_fresh_pool_has_no_finalizer_owner_or_status() -> None:
    pool = facts(
        {**with_metadata(finalizers=None, ownerReferences=None, annotations=None), "status": None},
    )
    assert not pool.finalized
    assert pool.owner_uid is None
    assert pool.status == PoolStatus()


def test_a_pool_that_is_being_deleted_and_released_by_hand() -> None:
    annotations = {names.RELEASE_ANNOTATION: "true"}
    pool = facts(with_metadata(deletionTimestamp="2026-01-01T00:00:00Z", annotations=annotations))
    assert pool.deleting
    assert pool.release_without_cleanup


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"clusterRef": {"name": "a29b"}, "replicas": 3}, "spec: replicas: this pool follows the gateway"),
        ({"clusterRef": {"name": "a29b"}, "template": {"cores": 0}}, "spec.template.cores: "),
        ({"clusterRef": {"name": "a29b"}, "template": {"memory": "8GB"}}, "spec.template.memory: must be a"),
        ({"clusterRef": {"name": "a29b"}, "scaling": "Sideways"}, "spec.scaling: "),
    ],
)
def test_a_spec_that_cannot_be_read_makes_the_pool_invalid_and_keeps_its_cluster(spec: Any, why: str) -> None:
    pool = facts({**BODY, "spec": spec})
    assert pool.invalid is not None
    assert why in pool.invalid
    assert pool.spec.cluster_ref.name == "a29b"
    assert pool.spec.replicas == 0


@pytest.mark.parametrize("spec", [None, [], "x", {}, {"clusterRef": None}, {"clusterRef": {"name": 3}}])
def test_no_spec_breaks_the_reader(spec: Any) -> None:
    assert facts({**BODY, "spec": spec}).invalid is not None
    assert cluster_name({"spec": spec}) == ""


def test_a_spec_of_a_newer_operator_is_read_as_far_as_it_is_known() -> None:
    pool = facts({**BODY, "spec": {**BODY["spec"], "fromTheFuture": True}})
    assert pool.invalid is None


@pytest.mark.parametrize("status", [{"replicas": -1}, {"conditions": "x"}, []])
def test_a_status_that_cannot_be_read_is_forgotten(status: Any) -> None:
    assert facts({**BODY, "status": status}).status == PoolStatus()


@pytest.mark.parametrize("nonsense", [None, "x", 3, [], [None], ["x"], [[]], {}, {"uid": 3}, True])
@pytest.mark.parametrize(
    "field",
    [
        "namespace",
        "name",
        "uid",
        "generation",
        "creationTimestamp",
        "finalizers",
        "ownerReferences",
        "annotations",
    ],
)
def test_no_metadata_breaks_the_reader_or_claims_what_is_not_there(field: str, nonsense: Any) -> None:
    pool = facts(with_metadata(**{field: nonsense}))
    assert (pool.finalized, pool.owner_uid, pool.deleting) == (
        field != "finalizers",
        None if field == "ownerReferences" else "u1",
        False,
    )
    assert not pool.release_without_cleanup
    assert facts({"metadata": nonsense}).uid == ""


def test_an_owner_without_a_uid_is_none() -> None:
    owner = {"apiVersion": names.GATEWAY_API_VERSION, "kind": "DaskCluster", "name": "a29b"}
    assert facts(with_metadata(ownerReferences=[owner])).owner_uid is None
