"""A mark on a DaskCluster whose user has chosen what its workers are: this server made its first pool.

Used by `htcdask_gateway`, and pasted beside it into the API server's configuration. The operator reads it: a
cluster without a pool gets the site's default one only if it never had another, as after the pool, or all of
HTCDask, was taken away. Work that goes on by itself on other workers than its user chose is worse than none.
"""

import asyncio
import logging
from typing import Any

from aiohttp import ClientError
from kubernetes_asyncio.client.rest import ApiException

ANNOTATION = "htcdask.org/pool-made"
DEADLINE = 15.0  # seconds of the request
LOG = logging.getLogger("DaskGateway")  # the server's own


async def mark(client: Any, where: tuple[str, str, str, str], metadata: dict[str, Any]) -> None:
    """Mark this very cluster, `metadata` being its own. The pool is there: a failure is only logged."""
    name, change = metadata["name"], {"uid": metadata["uid"], "annotations": {ANNOTATION: "true"}}
    if ANNOTATION in (metadata.get("annotations") or {}):
        return
    options = {"_content_type": "application/merge-patch+json", "_request_timeout": DEADLINE}
    try:
        await client.patch_namespaced_custom_object(*where, name, {"metadata": change}, **options)
    except (ApiException, OSError, ClientError, asyncio.TimeoutError) as exc:  # noqa: UP041 (as before Python 3.11)
        said = f"HTTP {exc.status} {exc.reason}" if isinstance(exc, ApiException) else repr(exc)
        LOG.warning("Cluster %s cannot be marked as one that has a pool: %.500s", name, said)
