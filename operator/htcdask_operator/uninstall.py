"""The chart's pre-delete hook: `python -m htcdask_operator.uninstall --seconds N`.

Deletes the pools while the operator, which still runs, can end their jobs; after N seconds it releases those
that are left, so that no pool stays Terminating for ever, and prints how to end their jobs by hand. It needs
nothing but the operator's own rights and settings.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from kubernetes import client, config

from htcdask_api import names
from htcdask_operator import settings as site

_PAUSE = 1.0
_MERGE = "application/merge-patch+json"
_NOT_FOUND = 404


class Pools(Protocol):
    """The pools of one namespace."""

    def every(self) -> list[dict[str, Any]]:
        """Every pool, as the API server shows it."""

    def delete(self, name: str) -> None:
        """Ask for the pool's end; its finalizer holds it until its jobs are gone."""

    def release(self, pool: dict[str, Any]) -> None:
        """Take our finalizer away: the pool goes at once, whatever its jobs do."""


class ClusterPools:
    """The port `Pools` on a real API server."""

    def __init__(self, api: client.CustomObjectsApi, namespace: str) -> None:
        self._api = api
        self._where = (names.GROUP, names.VERSION, namespace, names.PLURAL)

    def every(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._unless_gone(
            lambda: self._api.list_namespaced_custom_object(*self._where)["items"], []
        )
        return found

    def delete(self, name: str) -> None:
        self._unless_gone(lambda: self._api.delete_namespaced_custom_object(*self._where, name), None)

    def release(self, pool: dict[str, Any]) -> None:
        metadata = pool["metadata"]
        others = [entry for entry in metadata.get("finalizers", []) if entry != names.FINALIZER]
        # The resourceVersion keeps a finalizer that somebody else has just added.
        body = {"metadata": {"finalizers": others, "resourceVersion": metadata["resourceVersion"]}}
        self._unless_gone(
            lambda: self._api.patch_namespaced_custom_object(
                *self._where, metadata["name"], body, _content_type=_MERGE
            ),
            None,
        )

    @staticmethod
    def _unless_gone(call: Callable[[], Any], otherwise: Any) -> Any:
        try:
            return call()
        except client.ApiException as error:
            if error.status == _NOT_FOUND:
                return otherwise
            raise


def drain(
    pools: Pools, patience: float, clock: Callable[[], float], pause: Callable[[float], None]
) -> list[str]:
    """End all pools; the names of those that had to be released because their jobs did not end in time."""
    until = clock() + patience
    for pool in pools.every():
        pools.delete(pool["metadata"]["name"])
    while clock() < until:
        if not _held(pools):
            return []
        pause(_PAUSE)
    left = _held(pools)
    for pool in left:
        pools.release(pool)
    return [pool["metadata"]["name"] for pool in left]


def _kubernetes() -> str:
    """Which Kubernetes cluster this is. The pools are gone already: no failure may stop Helm now."""
    try:
        return str(client.CoreV1Api().read_namespace("kube-system").metadata.uid)
    except (client.ApiException, OSError):
        return "<uid of the namespace kube-system>"


def _held(pools: Pools) -> list[dict[str, Any]]:
    """Pools that our finalizer keeps."""
    return [pool for pool in pools.every() if names.FINALIZER in pool["metadata"].get("finalizers", [])]


def main(arguments: Sequence[str] | None = None) -> int:
    """Drain every namespace of the settings; always 0 once the pools are gone, so that Helm goes on."""
    parser = argparse.ArgumentParser(prog="htcdask-uninstall", description="Ends all pools of this operator.")
    parser.add_argument(
        "--settings", type=Path, default=site.default_path(), required=not site.default_path()
    )
    parser.add_argument("--seconds", type=float, default=120.0, help="how long jobs may take to end")
    parser.add_argument("--kubeconfig", type=Path, help="outside a pod")
    options = parser.parse_args(arguments)
    settings = site.load(options.settings)
    if options.kubeconfig:
        config.load_kube_config(str(options.kubeconfig))
    else:
        config.load_incluster_config()
    api = client.CustomObjectsApi()
    released: list[str] = []
    for namespace in settings.gateway_namespaces:
        released += drain(ClusterPools(api, namespace), options.seconds, time.monotonic, time.sleep)
    if released:
        identity = names.operator_identity(settings.operator_id, _kubernetes())
        sys.stdout.write(
            f"jobs of {', '.join(released)} did not end in {options.seconds:.0f} s. End them on the access "
            f"point {settings.access_point.schedd}:\n"
            f"  condor_rm -constraint '{names.AD_OPERATOR} == \"{identity}\"'\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
