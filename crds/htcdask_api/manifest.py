"""The Kubernetes object of a pool, and the owner reference that ties it to its DaskCluster.

Called by the client and the operator, which write such objects, and by the tests. The gateway's extension
runs where this package is not installed, and has its own copy; a test holds the two together. Nothing is
checked here: what may stand in a spec is the rule of `spec`, and the API server enforces it.
"""

from typing import Any

from . import names


def pool(namespace: str, name: str, cluster: str, **spec: Any) -> dict[str, Any]:
    """A pool for the DaskCluster `cluster`, as a person writes it. `spec`: its other fields, in camelCase."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterRef": {"name": cluster}, **spec},
    }


def owned_pool(namespace: str, name: str, cluster: str, uid: str, **spec: Any) -> dict[str, Any]:
    """A pool as a program writes it: Kubernetes deletes it with the DaskCluster of this `uid`."""
    body = pool(namespace, name, cluster, **spec)
    body["metadata"] |= {
        "labels": {names.CLUSTER_LABEL: cluster},
        "ownerReferences": [owner_reference(cluster, uid)],
    }
    return body


def owner_reference(cluster: str, uid: str) -> dict[str, Any]:
    """The DaskCluster as the owner of a pool. The gateway's own controller stays in charge of the cluster."""
    return {
        "apiVersion": names.GATEWAY_API_VERSION,
        "kind": names.DASKCLUSTER_KIND,
        "name": cluster,
        "uid": uid,
        "controller": False,
        "blockOwnerDeletion": False,  # true would need a right on the DaskCluster's finalizers
    }


def pool_reference(pool: str, uid: str) -> dict[str, Any]:
    """The pool as the owner of what its workers printed: Kubernetes deletes that with it."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": pool,
        "uid": uid,
        "controller": False,
        "blockOwnerDeletion": False,
    }
