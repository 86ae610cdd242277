"""An HTCWorkerPool as the API server shows it -> `PoolFacts`. Pure, and total for any body.

The CRD refuses most nonsense, but an older or newer CRD may not: a spec that this operator cannot read makes
the pool invalid, with the reason, and is otherwise treated as an empty one. A status that cannot be read is
forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from htcdask_api import ClusterRef, PoolSpec, PoolStatus, complaint, names
from htcdask_operator.core.model import PoolFacts
from htcdask_operator.kube.bodies import mapping, number, text
from htcdask_operator.kube.errors import KubeError


def facts(body: Mapping[str, Any]) -> PoolFacts:
    """What the operator needs to know of a pool."""
    metadata = mapping(body.get("metadata"))
    annotations = mapping(metadata.get("annotations"))
    spec, invalid = _spec(body.get("spec"))
    status = _status(body.get("status"))
    return PoolFacts(
        namespace=text(metadata.get("namespace")),
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        generation=number(metadata.get("generation")),
        created_at=seconds(metadata.get("creationTimestamp")),
        spec=spec,
        status=status,
        deleting=metadata.get("deletionTimestamp") is not None,
        finalizers=tuple(map(str, _items(metadata.get("finalizers")))),
        owner_uid=_owner(metadata.get("ownerReferences")),
        release_without_cleanup=annotations.get(names.RELEASE_ANNOTATION, "false") != "false",
        submitted_as=status.submitted_as,
        invalid=invalid,
    )


def cluster_name(body: Mapping[str, Any]) -> str:
    """The DaskCluster that the pool names. Empty if it names none: so the API server selects it, too."""
    spec = body.get("spec")
    reference = spec.get("clusterRef") if isinstance(spec, Mapping) else None
    name = reference.get("name") if isinstance(reference, Mapping) else None
    return text(name)


def check_cluster(body: Mapping[str, Any], cluster: str) -> None:
    """KubeError unless the pool is of this cluster, whose own was to get the pool's name."""
    its = cluster_name(body)
    if its != cluster:
        metadata, whose = mapping(body.get("metadata")), f"of the cluster {its}" if its else "of no cluster"
        raise KubeError(
            f"pool {text(metadata.get('namespace'))}/{text(metadata.get('name'))}",
            f"it is {whose} and in the way of the default pool of {cluster}: delete it, or make a pool of "
            f"another name for {cluster}",
            409,
        )


def seconds(timestamp: object) -> float:
    """An RFC 3339 time as seconds since the epoch; 0 for anything else."""
    try:
        return datetime.fromisoformat(str(timestamp)).timestamp()
    except ValueError:
        return 0.0


def _spec(value: object) -> tuple[PoolSpec, str | None]:
    try:
        return PoolSpec.model_validate(value), None
    except ValidationError as error:
        where, rule = complaint(error)
        why = f"{'.'.join(['spec', *where])}: {rule}"
    except Exception as error:  # no validator should, but then it is this pool's trouble alone
        why = f"spec: it cannot be read ({type(error).__name__})"
    # The name is kept as it is, valid or not: it is how the pool's cluster is found.
    name = cluster_name({"spec": value})
    return PoolSpec(cluster_ref=ClusterRef.model_construct(name=name)), why


def _status(value: object) -> PoolStatus:
    try:
        return PoolStatus.model_validate(value or {})
    except Exception:  # whatever somebody wrote there
        return PoolStatus()


def _owner(references: object) -> str | None:
    for reference in map(mapping, _items(references)):
        ours = text(reference.get("apiVersion")).startswith(f"{names.GATEWAY_GROUP}/")
        if ours and reference.get("kind") == names.DASKCLUSTER_KIND:
            return text(reference.get("uid")) or None
    return None


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
