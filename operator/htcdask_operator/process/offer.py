"""What the site offers, said to the gateway: profiles, limits and images, in a ConfigMap beside the clusters.

Run by `__main__` while the leases are held. The gateway's extension reads it for notebooks, so what is
written here is public to everybody with a login: each key is named below, and nothing else of the settings
leaves. The value of an environment variable or of an attribute may be a secret; requirements are the site's.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any, Final

from htcdask_api import Template, names
from htcdask_operator.core.policy import Policy, Profile
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.port import Offers

_log = logging.getLogger(__name__)

CONTENT: Final = "offer.json"  # beside "holder" and "acquired": of whose lease it is
LARGEST: Final = 512 * 1024  # bytes; the API server takes 1 MiB, and the gateway reads it for each question
PATTERNS: Final = 16 * 1024  # characters of profiles' users, without plain names: what the gateway tries
_INTERVAL: Final = 300.0  # somebody may have deleted it
_PAUSE: Final = 15.0  # after one that could not be written
_OF_A_WORKER: Final = {
    *("container_image", "cores", "memory", "disk", "gpus", "threads", "nanny", "max_runtime_seconds"),
}


def content(policy: Policy) -> dict[str, Any]:
    """What may be known of the site's settings, fit for JSON. Sizes of limits are in bytes.

    `template` is what a worker is where nobody says otherwise, with no blank left; a profile's has what the
    profile says.
    """
    limit = Template(max_runtime_seconds=policy.max_runtime_seconds)
    limits = {
        "maxReplicasPerPool": policy.max_replicas_per_pool,
        "maxReplicasPerUser": policy.max_replicas_per_user,
        "maxCoresPerUser": policy.max_cores_per_user,
        "maxMemoryPerUser": policy.max_memory_per_user,
        "maxGpusPerUser": policy.max_gpus_per_user,
        "maxReplicas": policy.max_replicas,
        "maxCores": policy.max_cores,
        "maxMemory": policy.max_memory,
        "maxGpus": policy.max_gpus,
        "maxRuntimeSeconds": policy.max_runtime_seconds,
    }
    return {
        "template": _worker(policy.default_template.over(limit), blanks=False),
        "profiles": {name: _profile(profile) for name, profile in policy.profiles.items()},
        "limits": {name: most for name, most in limits.items() if most is not None},
        "images": {
            "trees": list(policy.image_trees),
            "allowed": list(policy.allowed_images),
            "fromGateway": policy.image_path_template is not None,
        },
        "userExpressions": policy.allow_user_expressions,
    }


def _profile(profile: Profile) -> dict[str, Any]:
    capped = {} if profile.max_replicas is None else {"maxReplicas": profile.max_replicas}
    return {
        "template": _worker(profile.template, blanks=True),
        "attributes": list(profile.attributes),
        "users": list(profile.users),
        "groups": list(profile.groups),
        **capped,
    }


def _worker(template: Template, *, blanks: bool) -> dict[str, Any]:
    return template.model_dump(
        mode="json", by_alias=True, include=_OF_A_WORKER, exclude_unset=blanks, exclude_none=True
    )


async def publish(kube: Offers, namespaces: Sequence[str], policy: Policy, holder: str) -> None:
    """Write it and keep it written, until cancelled. A failure is said once, and stops nothing else.

    `holder`: as whom this operator holds the leases of the namespaces.
    """
    text = json.dumps(content(policy), ensure_ascii=False)
    said = None
    if (much := _too_much(policy, text)) is not None:
        _log.warning("The gateway is not told what the site offers: %s", much)
        namespaces = ()
    while True:
        why = [
            problem for where in namespaces if (problem := await write(kube, where, text, holder)) is not None
        ]
        if why and why != said:
            _log.warning("The gateway is not told what the site offers: %s", "; ".join(why))
        said = why or None
        await asyncio.sleep(_PAUSE if why else _INTERVAL)


def _too_much(policy: Policy, text: str) -> str | None:
    """What the gateway would not read all of."""
    length = len(text.encode())
    if length > LARGEST:
        return f"it is {length} bytes, of {LARGEST}"
    users = (users for profile in policy.profiles.values() for users in profile.users)
    patterns = sum(len(pattern) for pattern in users if set("*?[").intersection(pattern))
    if patterns > PATTERNS:
        return (
            f"the patterns in profiles.NAME.users are {patterns} characters, of {PATTERNS} (names are free)"
        )
    return None


async def write(kube: Offers, namespace: str, text: str, holder: str) -> str | None:
    """Write `text` once; why it could not be, in words."""
    try:
        # By its lease the gateway knows an offer of the operator that is at work from one that was left here,
        # such as by a newer release before a rollback.
        lease = await kube.lease(namespace, names.CLAIM)
        if lease is None or lease.holder != holder:
            whose = "is gone" if lease is None else "is another's by now"
            return f"the Lease {names.CLAIM} in {namespace} {whose}"
        data = {"holder": lease.holder, "acquired": lease.acquired, CONTENT: text}
        await kube.write_offer(namespace, data)
    except KubeError as error:
        if error.status == 403:
            return f"{error}; the chart's role for the operator has this right since it has this offer"
        return str(error)
    return None
