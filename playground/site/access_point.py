"""HTCondor's pod and the operator's token for it. Only site.py calls it."""

from __future__ import annotations

import base64
import json
import os

from playground.build import rootfs_condor
from playground.build.progress import step
from playground.node.node import Node

IDENTITY = f"dask@{rootfs_condor.DOMAIN}"
_SECRET = "condor-token"  # noqa: S105 (its name)
# The pod whose key signed the token: the key lives on the pod's disk, which a restart of HTCondor keeps.
_SIGNER = "htcdask.test/signer"


def memory_limit() -> int:
    """What HTCondor's pod, and all workers in it, may take: two thirds of the machine's memory, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 2 // 3


def run(node: Node, *argv: str) -> str:
    """Run a command on the access point, as root."""
    return node.kubectl("exec", "--namespace=condor", "deployment/condor", "--container=condor", "--", *argv)


def token(node: Node) -> str:
    """The operator's IDTOKEN, as the Secret holds it."""
    secret = json.loads(node.kubectl("get", "secret", _SECRET, "--namespace=htcdask", "--output=json"))
    return base64.b64decode(secret["data"]["token"]).decode().strip()


def ensure_token(node: Node) -> None:
    """Make the operator's token, unless the Secret has one that this pod signed."""
    pods = json.loads(
        node.kubectl("get", "pods", "--namespace=condor", "--selector=app=condor", "--output=json")
    )
    [pod] = [pod for pod in pods["items"] if "deletionTimestamp" not in pod["metadata"]]
    signer = pod["metadata"]["uid"]
    known = node.kubectl(
        "get",
        "secret",
        _SECRET,
        "--namespace=htcdask",
        "--ignore-not-found",
        "--output=jsonpath={.metadata.annotations}",
    )
    if signer in known:
        return
    with step(f"making the token of {IDENTITY}"):
        # READ and WRITE and no more: what the operator's documentation asks for.
        made = run(node, "condor_token_create", "-identity", IDENTITY, "-authz", "READ", "-authz", "WRITE")
        metadata = {"name": _SECRET, "namespace": "htcdask", "annotations": {_SIGNER: signer}}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"token": made}}
        command = (
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=playground",
            "--filename=-",
        )
        node.kubectl(*command, input=json.dumps(secret))
