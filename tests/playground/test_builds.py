"""Where programs come from, and when they are built again."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from playground import builds, paths


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> builds.Module:
    """A copy of a real module, to be changed by the test."""
    shutil.copytree(paths.SOURCE / "go" / "coredns", tmp_path / "go" / "coredns")
    monkeypatch.setattr(paths, "SOURCE", tmp_path)
    return next(module for module in builds.MODULES if module.name == "coredns")


def test_the_key_is_stable(module: builds.Module) -> None:
    assert builds.key(module, "go1.26.0") == builds.key(module, "go1.26.0")


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "main.go"])
def test_the_key_follows_the_sources(module: builds.Module, name: str) -> None:
    before = builds.key(module, "go1.26.0")
    source = module.folder / name
    source.write_text(source.read_text() + "\n")
    assert builds.key(module, "go1.26.0") != before


def test_the_key_follows_the_flags_and_the_compiler(module: builds.Module) -> None:
    stamped = dataclasses.replace(module, stamps=("main.version=2",))
    keys = {builds.key(module, "go1.26.0"), builds.key(module, "go1.26.1"), builds.key(stamped, "go1.26.0")}
    assert len(keys) == 3


def test_envtest_users_programs_are_taken_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kubectl").touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert builds._find("kubectl") == tmp_path / "kubectl"


def test_kubernetes_programs_know_their_version() -> None:
    stamps = next(module for module in builds.MODULES if module.name == "kubernetes").stamps
    go_mod = (paths.SOURCE / "go" / "kubernetes" / "go.mod").read_text()
    assert f"k8s.io/kubernetes v{builds.KUBERNETES}" in go_mod
    assert any(stamp.endswith(f"gitVersion=v{builds.KUBERNETES}") for stamp in stamps)
