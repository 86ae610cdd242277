"""An API server that lets whoever may patch an object give it any owner, as most do."""

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from htcdask_api import manifest
from playground.node import controlplane
from playground.node.controlplane import ControlPlane
from tests.chart.helm import render

KINDS = ("CustomResourceDefinition", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")


def test_who_may_not_delete_a_pool_gives_it_no_owner_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controlplane, "ADMISSION", "LimitRanger")  # on anyway
    with ControlPlane(tmp_path) as plane:
        plane.kubectl("create", "namespace", "gateway")
        chart = [part for part in render().values() if part["kind"] in KINDS]
        plane.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump_all(chart))
        plane.kubectl(
            "wait", "--for=condition=Established", "--timeout=30s", "crd/htcworkerpools.htcdask.org"
        )
        right = ("-n", "gateway", "create")
        plane.kubectl(*right, "role", "pat", "--verb=get,patch", "--resource=htcworkerpools.htcdask.org")
        plane.kubectl(*right, "rolebinding", "pat", "--role=pat", "--user=pat")
        plane.kubectl(*right, "-f", "-", input=json.dumps(manifest.pool("gateway", "owned", "c1")))

        def patch(metadata: dict[str, Any], *more: str) -> str:
            change = ("--type=merge", "-p", json.dumps({"metadata": metadata}), *more)
            return plane.kubectl("-n", "gateway", "patch", "htcwp/owned", *change, check=False)

        nothing = {"apiVersion": "v1", "kind": "ConfigMap", "name": "nothing", "uid": str(uuid.uuid4())}
        disown = {"ownerReferences": [nothing]}
        rule = 'needs the verb "delete" on htcworkerpools.htcdask.org/owned in namespace gateway'
        deadline = time.monotonic() + 30  # the API server compiles new policies in the background
        while rule not in (said := patch(disown, "--as=pat", "--dry-run=server")):
            assert time.monotonic() < deadline, said
        assert rule in patch(disown, "--as=pat")
        assert "patched" in patch({"labels": {"by": "pat"}}, "--as=pat")
        assert "patched" in patch(disown)
