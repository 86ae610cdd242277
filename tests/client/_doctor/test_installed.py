"""Older clients and forks that own our package, and files that are not ours any more."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import htcdaskgateway
from htcdaskgateway._doctor.case import Fault
from htcdaskgateway._doctor.installed import look

FILE = "htcdaskgateway/__init__.py"


def install(folder: Path, name: str, version: str, text: str, into: str = FILE) -> None:
    """What pip leaves of a distribution with one file."""
    (folder / into).parent.mkdir(parents=True, exist_ok=True)
    (folder / into).write_text(text)
    about = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    (about / "RECORD").write_text(f"{into},sha256={digest},{len(text)}\n")


def seen(folder: Path) -> str:
    return look(list(metadata.distributions(path=[str(folder)])))


def test_ours_alone_is_fine(tmp_path: Path) -> None:
    install(tmp_path, "htcdask", "0.1.0", "ours")
    install(tmp_path, "dask", "2026.8.0", "theirs", into="dask/__init__.py")
    assert seen(tmp_path) == "htcdask 0.1.0 is the only owner of the package 'htcdaskgateway'"


@pytest.mark.parametrize("other", ["htcdaskgateway", "ncsa-htcdaskgateway"])
def test_another_client_over_ours_is_named_with_the_order_of_its_removal(tmp_path: Path, other: str) -> None:
    install(tmp_path, "htcdask", "0.1.0", "ours")
    install(tmp_path, other, "1.0.4", "theirs")
    with pytest.raises(Fault) as fault:
        seen(tmp_path)
    assert str(fault.value).startswith(f"{other} 1.0.4 installs into the same package")
    assert f"{FILE} of htcdask is not as it was installed" in str(fault.value)
    assert fault.value.remedy.startswith(
        f"pip uninstall -y {other} && pip install --force-reinstall --no-deps htcdask"
    )


def test_what_an_uninstalled_client_took_with_it_is_named(tmp_path: Path) -> None:
    install(tmp_path, "htcdask", "0.1.0", "ours")
    (tmp_path / FILE).unlink()
    with pytest.raises(Fault, match=f"{FILE} of htcdask is gone") as fault:
        seen(tmp_path)
    assert "--force-reinstall" in fault.value.remedy


def test_the_command_names_a_fork_beside_ours(tmp_path: Path) -> None:
    install(tmp_path, "ncsa-htcdaskgateway", "1.0.4", "theirs", into="htcdaskgateway/other.py")
    ran = subprocess.run(
        [sys.executable, "-m", "htcdaskgateway", "doctor", "--address", "http://127.0.0.1:1"],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "USER": "ada"},
        cwd=tmp_path.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 1, ran.stderr
    [line] = [line for line in ran.stdout.splitlines() if " installation " in line]
    assert line.startswith("fails")
    assert "ncsa-htcdaskgateway 1.0.4 installs into the same package" in line
    assert "=> pip uninstall -y ncsa-htcdaskgateway" in line


def test_the_command_runs_where_a_fork_has_written_over_our_modules(tmp_path: Path) -> None:
    """`__init__` and `gateway` are the fork's then, and the doctor's own modules are there still."""
    copy = tmp_path / "htcdaskgateway"
    shutil.copytree(Path(htcdaskgateway.__file__).parent, copy)
    (copy / "gateway.py").write_text("HTCGateway = 'theirs'\n")
    install(tmp_path, "ncsa-htcdaskgateway", "1.0.4", "from htcdaskgateway.gateway import HTCGateway\n")
    ran = subprocess.run(
        [sys.executable, "-m", "htcdaskgateway", "doctor", "--address", "http://127.0.0.1:1"],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "USER": "ada"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = ran.stdout.splitlines()
    assert len(lines) == 17, ran.stderr
    assert lines[0].startswith("fails      installation  ncsa-htcdaskgateway 1.0.4 installs into the same")
    assert lines[4].startswith("fails      connection")
