"""Where programs come from, and when they are built again."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from playground.build import paths, programs
from playground.build.programs import KUBERNETES


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> programs.Module:
    """A copy of a real module, to be changed by the test."""
    shutil.copytree(paths.SOURCE / "build" / "go" / "kubernetes", tmp_path / "build" / "go" / "kubernetes")
    monkeypatch.setattr(paths, "SOURCE", tmp_path)
    return next(module for module in programs.MODULES if module.name == "kubernetes")


def test_the_key_is_stable(module: programs.Module) -> None:
    assert programs.key(module, "go1.26.0") == programs.key(module, "go1.26.0")


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "coredns/main.go"])
def test_the_key_follows_the_sources(module: programs.Module, name: str) -> None:
    before = programs.key(module, "go1.26.0")
    source = module.folder / name
    source.write_text(source.read_text() + "\n")
    assert programs.key(module, "go1.26.0") != before


def test_the_key_follows_the_flags_and_the_compiler(module: programs.Module) -> None:
    stamped = dataclasses.replace(module, stamps=("main.version=2",))
    keys = {
        programs.key(module, "go1.26.0"),
        programs.key(module, "go1.26.1"),
        programs.key(stamped, "go1.26.0"),
    }
    assert len(keys) == 3


@pytest.mark.parametrize(("version", "taken"), [("v1.34.1", True), ("v1.33.4", False), ("v1.35.0", False)])
def test_envtest_users_programs_are_taken_if_they_fit(
    version: str, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = tmp_path / "kube-apiserver"
    server.write_text(f"#!/bin/sh\necho Kubernetes {version}\n")
    server.chmod(0o755)
    (tmp_path / "kubectl").touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert programs.asset("kubectl") == (tmp_path / "kubectl" if taken else None)
    assert programs.asset("helm") is None


def test_kubernetes_programs_know_their_version() -> None:
    stamps = next(module for module in programs.MODULES if module.name == "kubernetes").stamps
    go_mod = (paths.SOURCE / "build" / "go" / "kubernetes" / "go.mod").read_text()
    assert f"k8s.io/kubernetes v{programs.KUBERNETES}" in go_mod
    assert any(stamp.endswith(f"gitVersion=v{programs.KUBERNETES}") for stamp in stamps)


def test_kubernetes_packages_are_compiled_once() -> None:
    """Helm and CoreDNS are built with the very packages of this Kubernetes."""
    go_mod = (paths.SOURCE / "build" / "go" / "kubernetes" / "go.mod").read_text()
    for package in ("api", "apimachinery", "client-go"):
        assert f"k8s.io/{package} => k8s.io/{package} v0.{KUBERNETES.partition('.')[2]}" in go_mod
    owner = {name: module.name for module in programs.MODULES for name in module.programs}
    assert owner["helm"] == owner["coredns"] == "kubernetes"
