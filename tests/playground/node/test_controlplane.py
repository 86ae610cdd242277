"""The control plane for tests: it starts, answers as 1.34 with our admission, and leaves no process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from playground.build import programs
from playground.build.errors import PlaygroundError
from playground.node.controlplane import ControlPlane


def test_it_serves_and_ends(tmp_path: Path) -> None:
    with ControlPlane(tmp_path) as control:
        processes = [process.pid for process in control._processes]
        assert f"v{programs.KUBERNETES}" in control.kubectl("version")
        assert "kube-system" in control.kubectl("get", "namespaces")
        assert "validatingadmissionpolicies" in control.kubectl("api-resources")
        with pytest.raises(PlaygroundError, match='"nothing" not found'):
            control.kubectl("get", "configmap", "nothing")
        assert '"nothing" not found' in control.kubectl("get", "configmap", "nothing", check=False)
    for pid in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_two_at_once_do_not_meet() -> None:
    with ControlPlane() as one, ControlPlane() as other:
        one.kubectl("create", "namespace", "mine")
        assert "mine" not in other.kubectl("get", "namespaces")
        folders = one.folder, other.folder
    assert not any(folder.exists() for folder in folders)


def test_what_a_part_says_is_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "etcd").touch()  # not a folder: etcd cannot start
    with pytest.raises(PlaygroundError, match=r"--- etcd\.log"):
        ControlPlane(tmp_path).__enter__()
