"""What a pool's workers printed once they had ended, as the operator keeps it in the pool's HTCWorkerLog.

Used by `htcdask_gateway`, which knows whose the pool is, and pasted beside it into the API server's
configuration. The object has the pool's name; that it belongs to this pool, and not to an earlier one of that
name, its owner reference says.
"""

from typing import Any

from kubernetes_asyncio.client.rest import ApiException

from htcdask_errors import error, is_gone

# htcdask_api has these too, but is not installed where this runs; a test compares them.
PLURAL = "htcworkerlogs"
MOST = 10
FIELDS = ("name", "machine", "endedAt", "outcome", "exitCode", "text")
Json = dict[str, Any]


async def answer(client: Any, where: tuple[str, str, str], pool: Json, worker: str | None) -> Json:
    """`workers`, newest first, or the one of this name; none where nothing was written. `where`: up to the
    namespace; `pool`: its object."""
    entries = [entry for entry in await _entries(client, where, pool["metadata"]) if isinstance(entry, dict)]
    told = [{field: entry[field] for field in FIELDS if field in entry} for entry in entries[:MOST]]
    if worker is None:
        return {"workers": told}
    if its := [entry for entry in told if entry.get("name") == worker]:
        return {"workers": its}
    names = ", ".join(str(entry.get("name")) for entry in told) or "none"
    text = "Of workers that end by themselves the last few are kept. One that runs is asked by Dask"
    raise error(404, f"Nothing is kept of what worker {worker[:80]!r} printed; there is: {names}. {text}")


async def _entries(client: Any, where: tuple[str, str, str], pool: Json) -> list[Any]:
    try:
        found = await client.get_namespaced_custom_object(*where, PLURAL, pool["name"])
    except ApiException as exc:
        if not is_gone(exc, pool["name"]):
            raise  # such as where the CRD is not installed
        return []
    owners = found["metadata"].get("ownerReferences") or []
    entries = found.get("workers") if pool["uid"] in [owner["uid"] for owner in owners] else None
    return entries if isinstance(entries, list) else []
