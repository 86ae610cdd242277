"""The command line: what it refuses, and how."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from playground import cli
from playground.build import packages
from playground.build.errors import PlaygroundError


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_help_names_every_command_and_the_needs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_status:
        cli.main(["--help"])
    shown = capsys.readouterr().out
    assert exit_status.value.code == 0
    assert "root on Linux" in shown
    for command in ("up", "down", "status", "shell", "logs", "kubectl", "helm", "build", "demo"):
        assert f"\n    {command} " in shown


@pytest.mark.parametrize("program", ["shell", "condor", "notebook"])
def test_help_of_what_runs_inside_is_ours(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_status:
        cli.main([program, "--help"])
    assert exit_status.value.code == 0
    assert f"usage: python -m playground {program}" in capsys.readouterr().out


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.main(["up"]) == 1
    assert "needs root" in capsys.readouterr().err


def test_elsewhere_than_linux_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cli.main(["up"]) == 1
    assert "needs Linux" in capsys.readouterr().err


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(packages, "_SYSTEM_PATHS", ())
    with pytest.raises(PlaygroundError, match="etcd-server"):
        packages.need("etcd")


@pytest.mark.parametrize("name", ["", "UP", "a/b", "-x", "x" * 40, "../demo"])
def test_a_bad_name_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", f"--name={name}"]) == 1
    assert "cannot name an instance" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["kubectl", "get", "nodes"], ["helm", "list"], ["shell", "true"]])
def test_a_program_for_a_node_that_is_down_says_what_to_do(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--name", "nobody", *command]) == 1
    assert "start it with `up`" in capsys.readouterr().err


def test_down_of_what_never_was_is_no_error(tmp_path: Path) -> None:
    assert cli.main(["--name", "nobody", "down"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_status_of_what_is_down(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", "--name", "nobody"]) == 3
    assert capsys.readouterr().out == "nobody: down\n"


def test_logs_of_an_unknown_part(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["logs", "etcd", "--name=nobody"]) == 1
    assert "called 'etcd'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "own", "passed"),
    [
        (["kubectl", "-n", "x", "get", "pods"], ["kubectl"], ["-n", "x", "get", "pods"]),
        (["--name", "t", "kubectl", "--help"], ["--name", "t", "kubectl"], ["--help"]),
        (["shell", "--", "ls", "-l"], ["shell"], ["ls", "-l"]),
        (["--name", "shell", "status"], ["--name", "shell", "status"], []),
        (["up", "--name", "helm"], ["up", "--name", "helm"], []),
    ],
)
def test_programs_get_their_own_arguments(arguments: list[str], own: list[str], passed: list[str]) -> None:
    assert cli._split(arguments) == (own, passed)
