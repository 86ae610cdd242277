"""The program itself: its words when it cannot start, its health, and its end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from htcdask_api import names
from playground.node.controlplane import ControlPlane, free_ports

PROGRAM = (sys.executable, "-m", "htcdask_operator")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {key: value for key, value in os.environ.items() if not key.startswith("HTCDASK_")}
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=60, env={**known, **environment}
    )


def test_it_says_what_it_can_be_told() -> None:
    outcome = run("--help")
    assert outcome.returncode == 0
    assert "--settings" in outcome.stdout
    assert "--log-format" in outcome.stdout


def test_without_settings_it_says_how_to_name_them() -> None:
    outcome = run()
    assert outcome.returncode == 2
    assert "--settings or HTCDASK_SETTINGS" in outcome.stderr


def test_a_bad_setting_stops_the_start_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("operatorId: htcdask\npoll: {activeSecond: 1}\n")
    outcome = run(HTCDASK_SETTINGS=str(tmp_path / "settings.yaml"))
    assert outcome.returncode == 2
    assert "poll.activeSecond: no such key, did you mean activeSeconds?" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def answer(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310
            return str(response.read().decode())
    except (urllib.error.URLError, OSError):
        return ""


def settings_file(folder: Path, port: int) -> Path:
    settings = {
        "operatorId": "htcdask",
        "gatewayNamespaces": ["default"],
        "leader": {"namespace": "default", "name": "lives"},
        "accessPoint": {"collector": "127.0.0.1:1", "schedd": "ap@nowhere"},
        "tokenFile": str(folder / "token"),
        "schedulerAddress": "gateway.example:443",
        "healthPort": port,
    }
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    return folder / "settings.yaml"


def test_it_lives_without_htcondor_and_ends_when_asked(plane: ControlPlane, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    settings_file(tmp_path, port)
    environment = {**os.environ, "KUBECONFIG": str(plane.kubeconfig)}
    arguments = (*PROGRAM, "--settings", str(tmp_path / "settings.yaml"), "--log-format", "json")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(arguments, env=environment, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while "Watching the pools" not in (tmp_path / "log").read_text():
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert answer(f"http://127.0.0.1:{port}/healthz") == "ok\n"
        assert "htcdask_condor_up 0.0" in answer(f"http://127.0.0.1:{port}/metrics")
        lease = json.loads(plane.kubectl("-n", "default", "get", "lease", names.CLAIM, "-o", "json"))["spec"]
        offer = json.loads(plane.kubectl("-n", "default", "get", "configmap", names.OFFER, "-o", "json"))
        assert offer["data"]["holder"] == lease["holderIdentity"]
        assert offer["data"]["acquired"] == lease["acquireTime"]
        assert "ap@nowhere" not in json.dumps(offer)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()
    text = (tmp_path / "log").read_text()
    assert "does not exist: put an IDTOKEN" in text
    assert '"message": "Ended, as asked"' in text


def test_it_ends_when_a_part_of_it_ends_and_names_it(plane: ControlPlane, tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:  # noqa: S104
        settings = settings_file(tmp_path, taken.getsockname()[1])
        outcome = run("--settings", str(settings), KUBECONFIG=str(plane.kubeconfig))
    assert outcome.returncode == 1
    assert "The task 'health server' ended, so the operator ends" in outcome.stderr
