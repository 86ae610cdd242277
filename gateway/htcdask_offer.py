"""What the site offers to a user: profiles, limits and images, as the operator says it in a ConfigMap.

Used by `htcdask_gateway`, and pasted beside it into the API server's configuration. Who can write ConfigMaps
in the clusters' namespace can write that one, too: so only what is listed here is passed on, and only if all
of it is as it should be. It counts while the operator that wrote it holds the namespace's Lease: another one
may have other settings, and say nothing.
"""

import asyncio
import json
from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import Any

import aiohttp
from kubernetes_asyncio.client.rest import ApiException

from htcdask_groups import groups_of

# htcdask_api.names has these too, but is not installed where this runs; a test compares them.
OFFER, CLAIM = "htcdask-offer", "htcdask-worker-pools"
LEASES = ("coordination.k8s.io", "v1")
CONTENT = "offer.json"
LARGEST = 512 * 1024  # characters of it
PATTERNS = 16 * 1024  # characters of users' patterns, without plain names: each costs a regular expression
SECONDS = 5.0  # for all of it: a new cluster waits for the answer

WORKER = {"containerImage": str, "cores": int, "memory": str, "disk": str, "gpus": int, "threads": int}
WORKER |= {"nanny": bool, "maxRuntimeSeconds": int}
LIMITS = [
    f"max{what}{whose}" for what in ("Replicas", "Cores", "Memory", "Gpus") for whose in ("PerUser", "")
]
LIMITS += ["maxReplicasPerPool", "maxRuntimeSeconds"]
WILD = set("*?[")
Json = dict[str, Any]


class Unsaid(Exception):  # noqa: N818
    """Nobody says what the site offers; the message is for users."""


async def answer(backend: Any, user: Any) -> Json:
    """`offer`, or null and `why`: never an error, as clusters can be made without."""
    try:
        return {"offer": await asyncio.wait_for(_ask(backend, user), SECONDS)}
    except Unsaid as unsaid:
        why = str(unsaid)
    except asyncio.TimeoutError:  # noqa: UP041 (another one before Python 3.11)
        why = f"Kubernetes did not answer in {SECONDS:.0f} s"
    except ApiException as exc:
        why = f"Kubernetes refused the gateway's question ({exc.status}: {exc.reason}): tell the site's admin"
    except (aiohttp.ClientError, OSError, ValueError):  # the last is an answer that is none of Kubernetes'
        why = "Kubernetes could not be asked"
    return {"offer": None, "why": f"The operator does not say what this site offers: {why}."}


async def _ask(backend: Any, user: Any) -> Json:
    namespace = backend.cluster_config_class(parent=backend).namespace
    try:
        found = await backend.core_client.read_namespaced_config_map(OFFER, namespace)
        get = backend.custom_client.get_namespaced_custom_object
        lease = (await get(*LEASES, namespace, "leases", CLAIM)).get("spec") or {}
    except ApiException as exc:
        if exc.status != 404:
            raise
        raise Unsaid("it is older than this, or has not started yet") from exc
    data, holder = found.data or {}, lease.get("holderIdentity")
    if not holder:
        raise Unsaid("none is at work at the moment")
    if (data.get("holder"), data.get("acquired")) != (holder, lease.get("acquireTime")):
        raise Unsaid("the last word is an earlier one's, and the one that is at work has not spoken")
    text, (groups, _) = data.get(CONTENT) or "", groups_of(user)
    try:
        if len(text) > LARGEST:
            raise ValueError
        return await asyncio.to_thread(read, text, user.name, groups)  # may be half a megabyte
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise Unsaid("its words are not understood") from exc


def read(text: str, user: str, groups: Collection[str]) -> Json:
    """What the operator wrote, for this user in these groups: who else may use a profile nobody is told.

    ValueError, KeyError, TypeError, AttributeError or RecursionError for anything else.
    """
    said = json.loads(text)
    images, profiles = said["images"], said["profiles"].items()
    if sum(len(text) for _, its in profiles for text in its["users"] if WILD & set(text)) > PATTERNS:
        raise ValueError
    return {
        "template": _worker(said["template"]),
        "profiles": [_profile(name, its, user, groups) for name, its in profiles],
        "limits": {name: _a(int, most) for name, most in said["limits"].items() if name in LIMITS},
        "images": {
            **{field: _texts(images[field]) for field in ("trees", "allowed")},
            "fromGateway": _a(bool, images["fromGateway"]),
        },
        "userExpressions": _a(bool, said["userExpressions"]),
    }


def _profile(name: str, said: Json, user: str, groups: Collection[str]) -> Json:
    patterns = _texts(said["users"])
    for_groups = _texts(said.get("groups", []))  # an older operator has none
    is_named = any(_is(user, pattern) for pattern in patterns) or not set(for_groups).isdisjoint(groups)
    most = {"maxReplicas": _a(int, said["maxReplicas"])} if "maxReplicas" in said else {}
    return {
        "name": name,
        "youMay": is_named or not (patterns or for_groups),
        "template": _worker(said["template"]),
        "attributes": _texts(said["attributes"]),
        **most,
    }


def _is(user: str, pattern: str) -> bool:
    return fnmatchcase(user, pattern) if WILD & set(pattern) else user == pattern


def _worker(said: Json) -> Json:
    return {field: _a(WORKER[field], value) for field, value in said.items() if field in WORKER}


def _texts(said: Any) -> list[str]:
    return [_a(str, text) for text in _a(list, said)]


def _a(kind: type, value: Any) -> Any:
    if type(value) is not kind:  # a bool is an int
        raise TypeError(f"no {kind.__name__}")
    return value
