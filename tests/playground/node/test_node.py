"""A real node: it comes up, repairs itself, hides from the machine, and leaves nothing.

The tests build on each other's node and run in their order; each begins with an `up`, which repairs.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.build import images
from playground.build.errors import PlaygroundError
from playground.node import namespaces
from playground.node.node import Node
from tests.playground.node import machine

_WEB = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: web
        image: htcdask/pause:dev
        imagePullPolicy: Never
        command: [/busybox, httpd, -f, -p, "8080", -h, /etc]
        readinessProbe: {httpGet: {port: 8080, path: /hostname}, periodSeconds: 1}
"""


@pytest.fixture(scope="module")
def before() -> machine.Machine:
    return machine.Machine.look()


@pytest.fixture(scope="module")
def node(before: machine.Machine) -> Iterator[Node]:
    instance = Node("test-node")
    instance.up(fresh=True)
    instance.load_image(images.image("pause").archive)
    instance.kubectl("apply", "-f", "-", input=_WEB)
    yield instance
    instance.down()
    shutil.rmtree(instance.state)


def _await_web(node: Node) -> str:
    """Wait until the pod runs, and ask it something through a forward.

    Of a node that has just come back kubectl may show the pod of before.
    """
    node.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    port = node.forward("web", "web.default", 80)
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/hostname", timeout=10) as answer:
                return str(answer.read().decode().strip())
        except (OSError, http.client.HTTPException):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _kill(node: Node, *names: str) -> None:
    """Kill -9 parts of the node, as seen from inside."""
    pids = [str(part["pid"]) for part in node.parts() if part["name"] in names]
    assert len(pids) == len(names)
    subprocess.run(node.enter("kill", "-9", *pids), check=True)


def _await_refusal(port: int) -> None:
    """Until the kernel has closed the socket of a process that was killed, it still takes connections."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            return
        except (ConnectionResetError, TimeoutError):  # or nobody takes them any more, and its queue is full
            pass
        time.sleep(0.1)
    raise AssertionError(f"port {port} still takes connections")


def _pids(node: Node) -> dict[str, int]:
    return {part["name"]: part["pid"] for part in node.parts()}


def test_pods_services_names_exec_and_logs_work(node: Node) -> None:
    node.up()
    assert _await_web(node).startswith("web-")
    inside = ("exec", "deployment/web", "--", "/busybox", "wget", "-q", "-O-", "http://web.default/hostname")
    assert node.kubectl(*inside).startswith("web-")
    assert "NXDOMAIN" in node.kubectl(
        "exec", "deployment/web", "--", "/busybox", "nslookup", "name.invalid", check=False
    )
    node.kubectl("logs", "deployment/web")


def test_it_holds_hundreds_of_pods_and_the_admission_that_we_rely_on(node: Node) -> None:
    node.up()
    capacity = json.loads(node.kubectl("get", "node", "-o", "json"))["items"][0]["status"]["capacity"]
    assert int(capacity["pods"]) >= 250
    plan = json.loads((node.state / "plan.json").read_text())
    command = next(part["command"] for part in plan["parts"] if part["name"] == "kube-apiserver")
    assert any("OwnerReferencesPermissionEnforcement" in word for word in command)


def test_the_machine_shows_nothing_of_it_while_it_runs(node: Node, before: machine.Machine) -> None:
    node.up()
    assert machine.Machine.look() == before
    assert machine.mounts(node.state) == []


def test_up_twice_changes_nothing(node: Node) -> None:
    node.up()
    first = _pids(node)
    started = time.monotonic()
    node.up()
    assert _pids(node) == first
    assert time.monotonic() - started < 10


def test_an_image_that_is_there_is_not_loaded_again(node: Node) -> None:
    node.up()
    archive = images.image("pause").archive
    listed = subprocess.run(node.enter("ctr", "-n", "k8s.io", "images", "ls", "-q"), capture_output=True)
    node.load_image(archive)
    again = subprocess.run(node.enter("ctr", "-n", "k8s.io", "images", "ls", "-q"), capture_output=True)
    assert again.stdout == listed.stdout
    assert b"docker.io/htcdask/pause:dev" in again.stdout.split()


def test_killed_parts_come_back(node: Node) -> None:
    node.up()
    _await_web(node)
    first = _pids(node)
    _kill(node, "etcd", "kube-apiserver", "containerd", "kubelet", "kube-proxy", "coredns")
    node.up()
    second = _pids(node)
    assert {name for name in first if first[name] != second[name]} == {
        "etcd",
        "kube-apiserver",
        "containerd",
        "kubelet",
        "kube-proxy",
        "coredns",
    }
    assert _await_web(node).startswith("web-")


def test_a_forward_that_was_killed_comes_back_on_its_port(node: Node) -> None:
    node.up()
    _await_web(node)
    port = node.forward("web", "web.default", 80)
    for folder in Path("/proc").glob("[0-9]*"):
        if (folder / "cmdline").exists() and b"forwards/web.json" in (folder / "cmdline").read_bytes():
            os.kill(int(folder.name), signal.SIGKILL)
    _await_refusal(port)
    assert node.forward("web", "web.default", 80) == port
    assert _await_web(node).startswith("web-")


def test_a_killed_node_comes_back_at_the_same_place(node: Node) -> None:
    node.up()
    _await_web(node)
    pid = namespaces.running(node.state)
    config, port = node.kubeconfig.read_text(), node.forward("web", "web.default", 80)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    node.up()
    assert node.kubeconfig.read_text() == config
    assert node.forward("web", "web.default", 80) == port
    assert _await_web(node).startswith("web-")


def test_down_leaves_nothing_and_fresh_keeps_the_images(node: Node, before: machine.Machine) -> None:
    node.up()
    _await_web(node)
    pid, forward = namespaces.running(node.state), node.forward("web", "web.default", 80)
    assert pid is not None
    own = machine.namespaces(pid)
    assert len(own) == 5
    assert machine.cgroups("htcdask-test-node") != []

    node.down()

    assert machine.processes(node.state) == []
    assert machine.inhabited(own) == set()
    assert machine.mounts(node.state) == []
    assert machine.cgroups("htcdask-test-node") == []
    assert machine.Machine.look() == before
    _await_refusal(forward)
    with pytest.raises(PlaygroundError, match="not running"):
        node.enter("true")
    node.down()  # twice is harmless

    node.up(fresh=True)
    assert "web" not in node.kubectl("get", "deployments,services,pods", "-A", "-o", "name")
    images_there = subprocess.run(
        node.enter("ctr", "-n", "k8s.io", "images", "ls", "-q"), capture_output=True
    )
    assert b"docker.io/htcdask/pause:dev" in images_there.stdout.split()


def test_a_node_that_nobody_noted_is_ended_too(node: Node) -> None:
    node.up()
    pid = namespaces.running(node.state)
    (node.state / "node.json").unlink()
    assert pid is not None
    node.down()
    assert machine.processes(node.state) == []
