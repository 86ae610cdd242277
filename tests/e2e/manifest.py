"""A pool as a person writes it for `kubectl apply`."""

import json

from htcdask_api import manifest
from tests.e2e.notebook import IMAGE


def pool(name: str, cluster: str, **template: object) -> str:
    """A pool of the DaskCluster `cluster`; `template` goes over the site's image and 1 GiB."""
    return pool_in("gateway", name, cluster, **template)


def pool_in(namespace: str, name: str, cluster: str, /, **template: object) -> str:
    """The same, in another namespace."""
    template = {"containerImage": IMAGE, "memory": "1Gi"} | template
    return json.dumps(manifest.pool(namespace, name, cluster, template=template))
