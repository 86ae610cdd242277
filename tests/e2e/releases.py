"""A second release of the chart beside the site's own, for tests that would disturb the first one's pools."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from playground.site import wait
from playground.site.site import CHART, VALUES, Site


@contextmanager
def second_release(site: Site, *options: str, starts: bool = True) -> Iterator[tuple[str, str]]:
    """A release in a namespace of its own, for clusters in another: their names. Both are taken away."""
    name = f"second-{uuid.uuid4().hex[:6]}"
    for namespace in (name, f"{name}-pools"):
        site.kubectl("create", "namespace", namespace)
    token = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "condor-token", "namespace": name}}
    site.kubectl("apply", "-f", "-", input=json.dumps({**token, "stringData": {"token": site.condor_token}}))
    given = [f"--set=gateway.namespace={name}-pools", "--set=gateway.serviceAccountName=", *options]
    site.node.helm("install", name, str(CHART), f"--namespace={name}", f"--values={VALUES}", *given)
    try:
        if starts:
            wait.deployments(site.node, f"--namespace={name}")
        yield name, f"{name}-pools"
    finally:
        if site.node.helm("list", f"--namespace={name}", "-q").strip():
            site.node.helm("uninstall", name, f"--namespace={name}")
        site.kubectl("delete", "namespace", name, f"{name}-pools", "--wait=false")
