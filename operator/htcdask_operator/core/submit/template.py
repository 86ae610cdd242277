"""What one worker of a pool is, after everybody has had a say; and the hash of what it is made from.

Called by `pools.cluster` once for each pool. Nearest wins: the pool's template, its profile, what the
cluster's options said, the site's default template, and then the site's limit of a worker's run time.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from pydantic import ValidationError

from htcdask_api import Template, complaint
from htcdask_operator.core.model import ClusterFacts, PoolFacts
from htcdask_operator.core.policy import Policy

# dask-gateway writes its defaults into every DaskCluster: equal to them means that nobody chose.
_STOCK_CORES: Final = 1
_STOCK_MEMORY: Final = 2 * 2**30
_STOCK_IMAGE: Final = "daskgateway/dask-gateway:latest"


def resolve(pool: PoolFacts, cluster: ClusterFacts | None, policy: Policy) -> Template:
    """The pool's template with every blank filled; an unknown profile fills nothing (`checks` says so).

    ValueError when the whole breaks a rule that its parts keep, such as the size of the environment.
    """
    profile = policy.profiles.get(pool.spec.template.profile or "")
    defaults = [profile.template] if profile else []
    if cluster is not None:
        defaults.append(of_cluster(cluster.config, policy.image_path_template))
    defaults.append(policy.default_template)
    if policy.max_runtime_seconds is not None:
        defaults.append(Template(max_runtime_seconds=policy.max_runtime_seconds))
    try:
        return pool.spec.template.over(*defaults)
    except ValidationError as error:
        where, rule = complaint(error)
        raise ValueError(f"{'.'.join(['spec.template', *where])}: {rule}") from None


def of_cluster(config: Mapping[str, object], image_path_template: str | None = None) -> Template:
    """What the gateway's cluster options chose for workers; what cannot be used is left out."""
    chosen: dict[str, Any] = {}
    cores, memory, image = (config.get(key) for key in ("worker_cores", "worker_memory", "image"))
    if _number(cores) and cores != _STOCK_CORES:
        chosen["cores"] = math.ceil(cores)
    if _number(memory) and memory != _STOCK_MEMORY:
        chosen["memory"] = str(math.ceil(memory))
    if isinstance(image, str) and image != _STOCK_IMAGE and image_path_template:
        chosen["container_image"] = _image_path(image, image_path_template)
    return Template(**{key: value for key, value in chosen.items() if _valid(key, value)})


def _number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _image_path(image: str, template: str) -> str:
    """Where execute nodes see the image `registry/name:tag`; without a registry it is Docker Hub's."""
    first, _, rest = image.partition("/")
    has_registry = bool(rest) and ("." in first or ":" in first or first == "localhost")
    registry, name = (first, rest) if has_registry else ("registry.hub.docker.com", image)
    if ":" not in name and "@" not in name:
        name += ":latest"
    return template.format(registry=registry, name=name)


def _valid(field: str, value: object) -> bool:
    try:
        Template.model_validate({field: value})
    except ValidationError:
        return False
    return True


def hash_of(*parts: object) -> str:
    """Twelve characters that differ when anything differs of what a worker is made from."""
    text = json.dumps(parts, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: (getattr(value, field.name), field.default) for field in dataclasses.fields(value)
        }
        # What a later release brought has a default: where a site leaves it so, an upgrade replaces nobody.
        return {name: its for name, (its, default) in fields.items() if its != default}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"no hash for {type(value).__name__}")
