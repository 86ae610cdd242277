"""A script that closes nothing ends quietly, and leaves no cluster."""

import subprocess
import sys
import time

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


PLAIN_FORK = """
import os, sys
from htcdaskgateway import BasicAuth, HTCGateway
gateway = HTCGateway("{address}", auth=BasicAuth("plain", "{password}"))
cluster = gateway.new_cluster()
child = os.fork()
if child == 0:
    del cluster
    sys.exit(0)
print(os.waitpid(child, 0)[1], [report.name == cluster.name for report in gateway.list_clusters()])
"""

GATEWAY_CLOSED = """
from htcdaskgateway import BasicAuth, HTCGateway, HTCGatewayCluster
auth = BasicAuth("closes", "{password}")
{make}
client = cluster.get_client()
cluster.gateway.close()
{more}
"""
MAKE = {
    "new_cluster": 'gateway = HTCGateway("{address}", auth=auth)\ncluster = gateway.new_cluster()',
    "class": 'cluster = HTCGatewayCluster("{address}", auth=auth)',
}

STUMBLING = """
from htcdaskgateway import BasicAuth, HTCGateway, HTCGatewayCluster
try:
    HTCGatewayCluster(address=None)
except ValueError as error:
    kept = error
cluster = HTCGateway("{address}", auth=BasicAuth("stumbles", "{password}")).new_cluster()
print("made")
"""

SILENT = """
import time
from htcdaskgateway import BasicAuth, HTCGateway
from dask_gateway import Gateway
gateway = HTCGateway("{address}", auth=BasicAuth("silent", "{password}"))
clusters = [gateway.new_cluster() for _ in range(2)]

async def never(self, *args, **kwargs):
    import asyncio
    await asyncio.sleep(300)

Gateway._request = never
HTCGateway._request = never
print(time.time())
"""


@pytest.mark.parametrize(("script", "printed"), [(PLAIN_FORK, "0 [True]\n"), (STUMBLING, "made\n")])
def test_the_end_of_a_script_is_not_hindered_by_what_is_not_its_own(
    site: Site, script: str, printed: str
) -> None:
    text = script.format(address=site.address, password=PASSWORD)
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == printed
    for user in ("plain", "stumbles"):
        with site.gateway(user) as gateway:
            assert gateway.list_clusters() == []


def closing_its_gateway(site: Site, make: str, more: str = "") -> str:
    """What the script prints and logs."""
    address = site.address.replace("127.0.0.1", "localhost")
    script = GATEWAY_CLOSED.format(make=MAKE[make].format(address=address), password=PASSWORD, more=more)
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    return ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("make", "more"), [("new_cluster", ""), ("class", ""), ("class", "client.close()  # and so its loop")]
)
def test_a_script_that_closed_its_cluster_s_gateway_leaves_nothing(site: Site, make: str, more: str) -> None:
    assert closing_its_gateway(site, make, more) == ""
    with site.gateway("closes") as gateway:
        assert gateway.list_clusters() == []


def test_a_cluster_of_a_closed_gateway_that_cannot_be_ended_is_named(site: Site) -> None:
    printed = closing_its_gateway(
        site, "class", 'client.close(); cluster.gateway.address = "http://127.0.0.1:9"'
    )
    with site.gateway("closes") as gateway:
        [report] = gateway.list_clusters()
        gateway.stop_cluster(report.name)
    assert f"Cluster {report.name} may go on" in printed


def test_a_gateway_that_answers_no_more_does_not_keep_a_script_from_its_end(site: Site) -> None:
    text = SILENT.format(address=site.address, password=PASSWORD)
    ran = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=120, check=True
    )
    assert time.time() - float(ran.stdout) < 40
    assert ran.stderr.count("may go on: its gateway did not answer at the end of this script") == 2
    with site.gateway("silent") as gateway:
        for report in gateway.list_clusters():
            gateway.stop_cluster(report.name)


def test_dask_gateway_itself_prints_and_leaves_its_cluster(site: Site) -> None:
    """Why we do it. When this fails, dask-gateway does it, and `_exit` may go."""
    assert "Unclosed client session" in run(site, "stays", "dask_gateway", "Gateway", cluster=False)
    assert "cannot schedule new futures" in run(site, "stays", "dask_gateway", "Gateway", cluster=True)
    with site.gateway("stays") as gateway:
        [report] = gateway.list_clusters()
        gateway.stop_cluster(report.name)
