"""What goes wrong at a site: the operator, HTCondor or a pod is gone for a while, or does not answer."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from playground.build.errors import PlaygroundError
from playground.node import containers
from playground.site import wait
from playground.site.site import Site
from tests.e2e.look import bare, eventually

Fault = Callable[[Site], AbstractContextManager[None]]

_DAEMONS = ("schedd", "negotiator", "collector")
_RULE = "/etc/condor/config.d/99-anchors"
_OPERATOR = "app.kubernetes.io/name=htcdask"


@contextmanager
def nothing(site: Site) -> Iterator[None]:
    """A good day."""
    yield


@contextmanager
def operator_down(site: Site) -> Iterator[None]:
    """Every operator of the site is away; it is back when the block has ended."""
    _scale_operators(site, 0)
    eventually(lambda: pods(site, "htcdask", _OPERATOR), 60, "no operator", lambda left: not left)
    try:
        yield
    finally:
        _scale_operators(site, 1)
        wait.deployments(site.node, "--namespace=htcdask")


@contextmanager
def condor_down(site: Site) -> Iterator[None]:
    """The access point and the central manager are away, as in a reboot; workers run on, elsewhere."""
    for daemon in _DAEMONS:
        site.condor("condor_off", "-fast", "-daemon", daemon)
    eventually(lambda: _daemons(site), 60, "HTCondor has ended", lambda left: not left)
    try:
        yield
    finally:
        for daemon in _DAEMONS:
            site.condor("condor_on", "-daemon", daemon)
        eventually(lambda: _answers(site), 60, "HTCondor answers")


@contextmanager
def schedd_frozen(site: Site) -> Iterator[None]:
    """The schedd takes connections, by its shared port, and never says a word."""
    site.condor("pkill", "-STOP", "-x", "condor_schedd")
    try:
        yield
    finally:
        site.condor("pkill", "-CONT", "-x", "condor_schedd")
        eventually(lambda: _answers(site), 60, "the schedd answers")


@contextmanager
def anchors_refused(site: Site, words: str) -> Iterator[None]:
    """The access point has a rule, with these words, that refuses the jobs which keep workers' files."""
    rule = (
        "SUBMIT_REQUIREMENT_NAMES = $(SUBMIT_REQUIREMENT_NAMES) Anchors\n"
        'SUBMIT_REQUIREMENT_Anchors = HTCDaskRole =!= "anchor"\n'
        f'SUBMIT_REQUIREMENT_Anchors_REASON = "{words}"\n'
    )
    site.condor("bash", "-c", 'printf %s "$1" > "$2" && condor_reconfig', "bash", rule, _RULE)
    try:
        yield
    finally:
        site.condor("bash", "-c", 'rm "$1" && condor_reconfig', "bash", _RULE)


def kill_operator(site: Site) -> None:
    """`kill -9`, and a new pod at once: for the same one the kubelet would wait longer each time."""
    [pod] = _operators(site)
    kill(site, pod)
    name = pod["metadata"]["name"]
    site.kubectl("-n", "htcdask", "delete", "pod", name, "--grace-period=0", "--force")


def operator_starts(site: Site) -> str:
    """Wait for an operator whose process runs; its pod's name."""

    def running() -> list[str]:
        return [
            pod["metadata"]["name"]
            for pod in _operators(site)
            if any("running" in each["state"] for each in pod["status"].get("containerStatuses", ()))
        ]

    return eventually(running, 60, "the operator's process runs")[0]


def kill(site: Site, pod: dict[str, Any]) -> None:
    """`kill -9` of the pod's first process, and so of all of its only container."""
    [container] = pod["status"].get("containerStatuses", [{}])
    wanted = container.get("containerID", "").removeprefix("containerd://")
    ctr = [*site.node.enter("ctr"), "--address", containers.SOCKET, "--namespace=k8s.io"]
    # None: it is not there yet.
    if wanted:
        subprocess.run([*ctr, "tasks", "kill", "--signal=KILL", wanted], capture_output=True, check=False)


def scheduler_pod(site: Site, cluster: str) -> dict[str, Any]:
    """The pod of a cluster's scheduler."""
    component = "app.kubernetes.io/component=dask-scheduler"
    [found] = pods(site, "gateway", f"gateway.dask.org/cluster={bare(cluster)},{component}")
    return found


def pods(site: Site, namespace: str, selector: str) -> list[dict[str, Any]]:
    """The pods that match, also those that are about to go."""
    text = site.kubectl("-n", namespace, "get", "pods", "-l", selector, "-o", "json")
    return list(json.loads(text)["items"])


def _operators(site: Site) -> list[dict[str, Any]]:
    """The pod of the site's own operator, but for one that is about to go."""
    found = pods(site, "htcdask", f"{_OPERATOR},app.kubernetes.io/instance=htcdask")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def _scale_operators(site: Site, count: int) -> None:
    site.kubectl("-n", "htcdask", "scale", "deployment", "--all", f"--replicas={count}")


def _daemons(site: Site) -> str:
    return _try(site, "pgrep", "-x", f"condor_({'|'.join(_DAEMONS)})")


def _answers(site: Site) -> str:
    return _try(site, "condor_q", "-allusers", "-totals")


def _try(site: Site, *argv: str) -> str:
    try:
        return site.condor(*argv)
    except PlaygroundError:
        return ""
