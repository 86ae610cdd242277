"""A script that closes nothing ends quietly, and leaves no cluster."""

import subprocess
import sys

import pytest

from tests.client.gateway_site import PASSWORD, Site

# A connection that has been idle is closed, and the next request looks the host's name up anew.
SCRIPT = """
from {module} import {kind}
from dask_gateway import BasicAuth
gateway = {kind}("{address}", auth=BasicAuth("{user}", "{password}"))
gateway.list_clusters()
if {cluster}:
    cluster = gateway.new_cluster()
    client = cluster.get_client()
    cluster.gateway.sync(cluster.gateway._cleanup)
"""


def run(site: Site, user: str, module: str, kind: str, cluster: bool) -> str:
    """What the script prints."""
    address = site.address.replace("127.0.0.1", "localhost")
    script = SCRIPT.format(
        module=module, kind=kind, address=address, user=user, password=PASSWORD, cluster=cluster
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    return ran.stdout + ran.stderr


@pytest.mark.parametrize("cluster", [False, True])
def test_a_script_that_simply_ends_prints_nothing_and_leaves_nothing(site: Site, cluster: bool) -> None:
    assert run(site, "ends", "htcdaskgateway", "HTCGateway", cluster) == ""
    with site.gateway("ends") as gateway:
        assert gateway.list_clusters() == []


THREADED = """
import threading, time
from htcdaskgateway import BasicAuth, HTCGateway
gateway = HTCGateway("{address}", auth=BasicAuth("threads", "{password}"))
cluster = gateway.new_cluster()

def work():
    threading.main_thread().join()
    time.sleep(0.5)
    print(cluster.status, cluster.scale(1))

threading.Thread(target=work).start()
"""


def test_a_cluster_is_there_for_as_long_as_a_thread_of_the_script(site: Site) -> None:
    script = THREADED.format(address=site.address, password=PASSWORD)
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    assert ran.stdout + ran.stderr == "running None\n"
    with site.gateway("threads") as gateway:
        assert gateway.list_clusters() == []


FORKING = """
import multiprocessing
from htcdaskgateway import BasicAuth, HTCGateway
gateway = HTCGateway("{address}", auth=BasicAuth("forks", "{password}"))
cluster = gateway.new_cluster()
child = multiprocessing.get_context("fork").Process(target=print, args=("a child",), kwargs={{"flush": True}})
child.start()
child.join(30)
print(child.exitcode, [report.name == cluster.name for report in gateway.list_clusters()])
child.kill()
"""


def test_a_forked_child_ends_without_touching_its_parents_cluster(site: Site) -> None:
    script = FORKING.format(address=site.address, password=PASSWORD)
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    assert ran.stdout == "a child\n0 [True]\n"
    with site.gateway("forks") as gateway:
        assert gateway.list_clusters() == []


def test_dask_gateway_itself_prints_and_leaves_its_cluster(site: Site) -> None:
    """Why we do it. When this fails, dask-gateway does it, and `_exit` may go."""
    assert "Unclosed client session" in run(site, "stays", "dask_gateway", "Gateway", cluster=False)
    assert "cannot schedule new futures" in run(site, "stays", "dask_gateway", "Gateway", cluster=True)
    with site.gateway("stays") as gateway:
        [report] = gateway.list_clusters()
        gateway.stop_cluster(report.name)
