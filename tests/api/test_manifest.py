"""A pool's manifest, word for word, and that the models read it back."""

from htcdask_api import PoolSpec, manifest

OWNER = {
    "apiVersion": "gateway.dask.org/v1alpha1",
    "kind": "DaskCluster",
    "name": "a29b",
    "uid": "u1",
    "controller": False,
    "blockOwnerDeletion": False,
}


def test_a_pool_names_its_cluster_and_nobody_as_its_owner() -> None:
    assert manifest.pool("gateway", "gpu", "a29b", scaling="Manual", replicas=2) == {
        "apiVersion": "htcdask.org/v1alpha1",
        "kind": "HTCWorkerPool",
        "metadata": {"name": "gpu", "namespace": "gateway"},
        "spec": {"clusterRef": {"name": "a29b"}, "scaling": "Manual", "replicas": 2},
    }


def test_an_owned_pool_goes_with_its_cluster() -> None:
    body = manifest.owned_pool("gateway", "default-a29b", "a29b", "u1", template={"cores": 2})
    assert body["metadata"] == {
        "name": "default-a29b",
        "namespace": "gateway",
        "labels": {"htcdask.org/cluster": "a29b"},
        "ownerReferences": [OWNER],
    }
    assert body["spec"] == {"clusterRef": {"name": "a29b"}, "template": {"cores": 2}}


def test_the_owner_is_neither_controller_nor_held_up() -> None:
    assert manifest.owner_reference("a29b", "u1") == OWNER


def test_the_models_read_a_manifest_back() -> None:
    spec = manifest.pool("gateway", "gpu", "a29b", template={"memory": "2Gi"})["spec"]
    assert PoolSpec.model_validate(spec).manifest() == spec
