"""What dask-gateway's documentation promises about its client, one function a promise.

Runs inside of a notebook pod, by `run_all`, with one client or the other: this module knows nothing of the
repository, and what it needs of a client is in `Here`. A case fails by an assertion; what it returns has to
be the same with both clients, so it names no cluster and no class of either. Cases that need a cluster with
workers share one.
"""

import asyncio
import contextlib
import gc
import importlib
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import dask
import dask_gateway
from dask_gateway.auth import BasicAuth
from distributed import Client, as_completed, get_client, get_worker

CASES: dict[str, Callable[["Here"], Any]] = {}
CASE_SECONDS = 120
ERRORS: tuple[type[BaseException], ...] = (
    dask_gateway.GatewayClusterError,
    dask_gateway.GatewayServerError,
    aiohttp.ClientResponseError,
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
    RuntimeError,
)


class Here:
    """One of the two clients, and the cluster that its cases share."""

    def __init__(self, client: str, address: str, password: str) -> None:
        if client == "HTCGateway":
            import htcdaskgateway

            self.Gateway: Any = htcdaskgateway.HTCGateway
            self.GatewayCluster: Any = htcdaskgateway.HTCGatewayCluster
        else:
            self.Gateway, self.GatewayCluster = dask_gateway.Gateway, dask_gateway.GatewayCluster
        self.address, self.password, self.user = address, password, f"user-of-{client.lower()}"
        self.gateway = self.make()
        self._cluster: Any = None
        self._client: Any = None

    @property
    def auth(self) -> BasicAuth:
        return BasicAuth(self.user, self.password)

    def make(self, **settings: Any) -> Any:
        # The public address that this site configures is for browsers at its JupyterLab.
        return self.Gateway(self.address, **{"auth": self.auth, "public_address": self.address, **settings})

    @property
    def cluster(self) -> Any:
        """With two workers, from the first case that asks for it on."""
        if self._cluster is None:
            self._cluster = self.gateway.new_cluster()
            self._cluster.scale(2)
        return self._cluster

    @property
    def client(self) -> Any:
        if self._client is None:
            self._client = self.cluster.get_client(set_as_default=False)
            self._client.wait_for_workers(2, timeout=90)
        return self._client

    def names(self, **asked: Any) -> list[str]:
        return [report.name for report in self.gateway.list_clusters(**asked)]

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        for name in self.names():  # also what a case that failed has left
            self.gateway.stop_cluster(name)
        self.gateway.close()


def case(function: Callable[[Here], Any]) -> Callable[[Here], Any]:
    CASES[function.__name__] = function
    return function


def raised(call: Callable[[], Any], within: float = 30) -> str:
    """The documented class that the error of `call` is one of; "nothing", "silence", or its own name."""
    outcome: list[str] = []

    def run() -> None:
        try:
            call()
            outcome.append("nothing")
        except BaseException as error:
            known = (kind.__name__ for kind in ERRORS if isinstance(error, kind))
            outcome.append(next(known, type(error).__name__))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(within)
    return outcome[0] if outcome else "silence"


def eventually(true: Callable[[], Any], within: float = 60) -> bool:
    until = time.monotonic() + within
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


@contextlib.contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


@case
def address_and_login_come_from_the_configuration(here: Here) -> Any:
    login = {"gateway.auth.type": "basic", "gateway.auth.kwargs": {"username": "nobody", "password": "{PW}"}}
    with variable("PW", here.password), variable("WHERE", here.address):
        for address in (here.address, "{WHERE}"):
            with dask.config.set({"gateway.address": address, **login}), here.Gateway() as gateway:
                assert gateway.list_clusters() == []
        assert "://" in gateway.address
    with dask.config.set({"gateway.address": None}):
        return raised(here.Gateway)


@case
def the_proxy_is_the_gateway_unless_said_otherwise(here: Here) -> Any:
    made = [None, 8786, "elsewhere:99", "tls://elsewhere:99"]
    found = [here.make(proxy_address=proxy).proxy_address for proxy in made]
    with dask.config.set({"gateway.proxy-address": "configured:1"}):
        found.append(here.make().proxy_address)
        found.append(here.make(proxy_address=2).proxy_address)
    assert all(address.startswith("gateway://") for address in found)
    return found


@case
def a_wrong_password_is_refused(here: Here) -> Any:
    with here.make(auth=BasicAuth(here.user, "wrong")) as gateway:
        return [raised(gateway.list_clusters), raised(gateway.new_cluster), raised(gateway.cluster_options)]


@case
def versions_of_client_and_server_are_told(here: Here) -> Any:
    versions = here.gateway.get_versions()
    assert versions["client"]["version"] == dask_gateway.__version__
    return versions


@case
def a_closed_gateway_answers_nobody(here: Here) -> Any:
    with here.make() as gateway:
        assert gateway.list_clusters() == []
    return raised(gateway.list_clusters, within=5)


@case
def cluster_options_are_a_mapping_and_attributes_and_check_what_is_set(here: Here) -> Any:
    options = here.gateway.cluster_options()
    assert isinstance(options, dask_gateway.Options)
    fields = list(options)
    assert len(options) == len(fields) and all(name in options for name in fields)
    options.image = "one:1"
    assert options["image"] == options.image == "one:1"
    options["image"] = "two:2"
    assert dict(options)["image"] == "two:2"
    options.update({"image": "three:3"})
    assert options.image == "three:3"

    def set_unknown() -> None:
        options.colour = "red"

    def set_wrong() -> None:
        options.idle_timeout = "soon"

    def set_below() -> None:
        options.idle_timeout = -1

    calls = (set_unknown, set_wrong, set_below, lambda: options.colour, lambda: options["colour"])
    return fields, [raised(call) for call in calls]


@case
def defaults_of_cluster_options_come_from_the_configuration(here: Here) -> Any:
    local = {"gateway.cluster.options": {"idle_timeout": 7, "image": "{MY_IMAGE}"}}
    with variable("MY_IMAGE", "mine:1"), dask.config.set(local):
        options = here.gateway.cluster_options()
        assert (options.idle_timeout, options.image) == (7, "mine:1")
        unused = here.gateway.cluster_options(use_local_defaults=False)
    return unused.idle_timeout, unused.image


@case
def a_wrong_option_makes_no_cluster(here: Here) -> Any:
    gateway, before = here.gateway, here.names()
    found = [
        raised(lambda: gateway.new_cluster(colour="red")),
        raised(lambda: gateway.submit(colour="red")),
        raised(lambda: gateway.new_cluster(idle_timeout="soon")),
        raised(lambda: gateway.new_cluster(idle_timeout=-1)),
        raised(lambda: gateway.new_cluster({"idle_timeout": 1})),
        raised(lambda: here.GatewayCluster(here.address, auth=here.auth, colour="red")),
    ]
    with dask.config.set({"gateway.cluster.options": {"colour": "red"}}):
        found.append(raised(gateway.submit))
    assert here.names() == before
    return found


@case
def an_unknown_cluster_is_an_error(here: Here) -> Any:
    name = f"gateway.{uuid.uuid4().hex}"
    gateway = here.gateway
    calls: list[Callable[[], Any]] = [
        lambda: gateway.get_cluster(name),
        lambda: gateway.stop_cluster(name),
        lambda: gateway.scale_cluster(name, 1),
        lambda: gateway.adapt_cluster(name, 0, 1),
    ]
    return [raised(call) for call in calls]


@case
def a_running_cluster_is_listed_and_reported(here: Here) -> Any:
    cluster = here.cluster
    [listed] = here.gateway.list_clusters()
    report = here.gateway.get_cluster(cluster.name)
    assert listed.name == report.name == cluster.name
    assert report.scheduler_address == listed.scheduler_address == cluster.scheduler_address
    assert report.scheduler_address == f"{here.gateway.proxy_address}/{cluster.name}"
    assert report.dashboard_link == cluster.dashboard_link
    assert report.dashboard_link.startswith(here.address)
    assert isinstance(report.start_time, datetime)
    assert abs(time.time() - report.start_time.timestamp()) < 900
    assert report.security is not None
    assert report.tls_cert.startswith("-----BEGIN") and report.tls_key.startswith("-----BEGIN")
    assert report.tls_key not in repr(report.security) + repr(report) + repr(cluster)
    assert repr(report) == f"ClusterReport<name={cluster.name}, status=RUNNING>"
    options = {name: its for name, its in report.options.items() if name != "worker_backend"}
    return report.status.name, report.stop_time, listed.security is None, options


@case
def clusters_are_listed_by_their_status(here: Here) -> Any:
    name = here.cluster.name
    assert here.names(status="running") == here.names(status=["running", "pending"]) == [name]
    assert name not in here.names(status=["stopped", "failed"])
    return raised(lambda: here.gateway.list_clusters(status="tired"))


@case
def a_cluster_shows_its_name_and_its_dashboard(here: Here) -> Any:
    cluster = here.cluster
    assert cluster.name in repr(cluster) and "running" in repr(cluster)
    html = cluster._repr_html_()
    assert cluster.name in html and cluster.dashboard_link in html
    assert cluster.status == "running" and not cluster.asynchronous and cluster.shutdown_on_close
    return type(cluster.security).__name__, type(cluster.loop).__name__


@case
def the_dashboard_answers_a_browser(here: Here) -> Any:
    link = here.cluster.dashboard_link
    assert here.client.dashboard_link == link
    for page in (
        link,
        link.replace("/status", "/info/main/workers.html"),
        link.replace("/status", "/json/counts.json"),
    ):
        with urllib.request.urlopen(page, timeout=30) as answer:  # noqa: S310 (http, to the playground)
            assert answer.status == 200
    with here.make(public_address="https://from.outside/") as gateway:
        public = gateway.get_cluster(here.cluster.name).dashboard_link
    assert public.startswith("https://from.outside/clusters/")
    return "answers"


@case
def workers_do_what_they_are_asked(here: Here) -> Any:
    client = here.client
    assert client.submit(lambda x: x + 1, 1).result(timeout=60) == 2
    assert client.gather(client.submit(sum, client.map(abs, range(-3, 0)))) == 6
    [big] = client.scatter([list(range(1000))], broadcast=True)
    assert client.submit(len, big).result() == 1000
    with client.as_current():
        futures = client.map(lambda x: x * x, range(20))
        assert sorted(future.result() for future in as_completed(futures)) == [x * x for x in range(20)]
        total = dask.delayed(sum)([dask.delayed(abs)(-i) for i in range(5)])
        assert total.compute() == 10
        assert total.persist().compute() == 10
    inner = client.submit(lambda: get_client().submit(abs, -5).result())
    assert inner.result(timeout=60) == 5

    def fails() -> None:
        raise LookupError("of a task")

    return raised(client.submit(fails).result), sorted(client.nthreads().values())


@case
def what_clients_ask_of_workers_and_scheduler_is_done(here: Here) -> Any:
    client = here.client
    assert len(client.run(os.getpid)) == len(client.scheduler_info(n_workers=-1)["workers"]) == 2
    assert client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.workers)) == 2
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "of_this_notebook.py"
        module.write_text("ANSWER = 42\n")
        client.upload_file(str(module))

    def answer() -> Any:
        return importlib.import_module("of_this_notebook").ANSWER

    assert set(client.run(answer).values()) == {42}
    versions = client.get_versions()
    assert len(versions["workers"]) == 2 and len(client.get_worker_logs()) == 2
    assert client.get_scheduler_logs() is not None
    assert eventually(lambda: len(here.cluster.scheduler_info["workers"]) == 2)
    client.restart(timeout=60)
    client.wait_for_workers(2, timeout=60)
    return client.submit(lambda: get_worker().name != "").result(timeout=60)


@case
def a_client_is_the_default_unless_asked_not_to_be(here: Here) -> Any:
    aside = here.cluster.get_client(set_as_default=False)
    with here.cluster.get_client() as client:
        assert get_client() is client and get_client() is not aside
    aside.close()
    return here.cluster.status, here.names() == [here.cluster.name]


@case
def dasks_own_client_takes_the_cluster_or_its_address(here: Here) -> Any:
    found = []
    with Client(here.cluster, set_as_default=False) as client:
        found.append(client.submit(abs, -1).result(timeout=60))
    address, security = here.cluster.scheduler_address, here.cluster.security
    with Client(address, security=security, set_as_default=False) as client:
        found.append(client.submit(abs, -2).result(timeout=60))
    return found


@case
def a_cluster_is_connected_to_by_name_and_goes_on(here: Here) -> Any:
    here.client.publish_dataset(kept=here.client.scatter([1, 2, 3]))
    name = here.cluster.name
    with here.make() as gateway, gateway.connect(name) as cluster:
        assert cluster.name == name and not cluster.shutdown_on_close
        with cluster.get_client(set_as_default=False) as client:
            kept = client.gather(client.get_dataset("kept"))
    with here.GatewayCluster.from_name(name, address=here.address, auth=here.auth) as cluster:
        assert cluster.scheduler_address == here.cluster.scheduler_address
    here.client.unpublish_dataset("kept")
    assert here.names() == [name]
    return kept, type(cluster.gateway) is here.Gateway


@case
def another_users_cluster_is_nobody_elses(here: Here) -> Any:
    name = here.cluster.name
    with here.make(auth=BasicAuth("stranger", here.password)) as gateway:
        assert gateway.list_clusters() == []
        calls = [
            lambda: gateway.get_cluster(name),
            lambda: gateway.connect(name),
            lambda: gateway.stop_cluster(name),
            lambda: gateway.scale_cluster(name, 0),
        ]
        found = [raised(call) for call in calls]
    assert here.names() == [name]
    return found


@case
def adapt_follows_the_work_until_it_is_turned_off(here: Here) -> Any:
    client, cluster = here.client, here.cluster

    def count() -> int:
        return len(client.scheduler_info(n_workers=-1)["workers"])

    cluster.adapt(minimum=1, maximum=2)
    assert eventually(lambda: count() == 1), "nothing to do"
    futures = client.map(lambda _: time.sleep(0.5), range(40), pure=False)
    assert eventually(lambda: count() == 2), "much to do"
    client.gather(futures)
    del futures  # or the last worker would stay for them
    here.gateway.adapt_cluster(cluster.name, minimum=1, maximum=1)
    assert eventually(lambda: count() == 1)
    cluster.adapt(active=False)
    here.gateway.scale_cluster(cluster.name, 0)
    assert eventually(lambda: count() == 0)
    return raised(lambda: cluster.scale(-1)), raised(lambda: cluster.scale("1")), cluster.scale(0)


@case
def a_block_shuts_its_cluster_down(here: Here) -> Any:
    with here.gateway.new_cluster(here.gateway.cluster_options(), idle_timeout=600) as cluster:
        name = cluster.name
        options = here.gateway.get_cluster(name).options
        client = cluster.get_client(set_as_default=False)
        assert options["idle_timeout"] == 600
    assert cluster.status == "closed"
    assert eventually(lambda: name not in here.names(), 20)
    assert eventually(lambda: here.gateway.get_cluster(name).status.name == "STOPPED", 20)
    assert name in here.names(status="stopped")
    report = here.gateway.get_cluster(name)
    assert report.stop_time >= report.start_time
    client.close()
    again = (cluster.close, cluster.shutdown, lambda: here.gateway.connect(name))
    unknown = lambda: here.gateway.scale_cluster(name, 1)  # noqa: E731
    found = [raised(call) for call in (*again, unknown, lambda: here.gateway.stop_cluster(name))]
    return found, report.security, report.scheduler_address, report.dashboard_link


@case
def a_submitted_cluster_is_connected_to_later_and_ends_only_when_told(here: Here) -> Any:
    name = here.gateway.submit(idle_timeout=601)
    assert isinstance(name, str)
    assert eventually(lambda: name in here.names(status=["pending", "running"]), 20)
    with here.gateway.connect(name) as cluster:
        assert cluster.status == "running"
    with here.gateway.connect(name, shutdown_on_close=True) as cluster:
        cluster.close(shutdown=False)
    assert name in here.names()
    here.gateway.connect(name).close(shutdown=True)
    assert eventually(lambda: name not in here.names(), 20)
    return raised(lambda: here.gateway.connect(name))


@case
def the_class_alone_makes_a_cluster_that_may_outlive_it(here: Here) -> Any:
    cluster = here.GatewayCluster(here.address, auth=here.auth, shutdown_on_close=False, idle_timeout=602)
    name, options = cluster.name, here.gateway.get_cluster(cluster.name).options
    cluster.close()
    cluster.close()
    assert name in here.names()
    stopped = here.gateway.stop_cluster(name)
    assert eventually(lambda: name not in here.names(), 20)
    return options["idle_timeout"], stopped


@case
def everything_is_awaited_of_an_asynchronous_gateway(here: Here) -> Any:
    async def run() -> Any:
        async with here.make(asynchronous=True) as gateway:
            assert gateway.asynchronous
            options = await gateway.cluster_options()
            async with gateway.new_cluster(options) as cluster:
                assert cluster.asynchronous
                await cluster.scale(1)
                async with cluster.get_client(set_as_default=False) as client:
                    await client.wait_for_workers(1, timeout=90)
                    value = await client.submit(abs, -3)
                    names = [report.name for report in await gateway.list_clusters()]
                    assert cluster.name in names
                    assert (await gateway.get_cluster(cluster.name)).name == cluster.name
                async with gateway.connect(cluster.name) as other:
                    await other.adapt(0, 1)
                    await gateway.scale_cluster(cluster.name, 0)
                name = cluster.name
            assert cluster.status == "closed"
            made = await gateway.submit()
            connected = await gateway.connect(made, shutdown_on_close=True)
            await connected.close()
            for _ in range(100):
                left = {report.name for report in await gateway.list_clusters()}
                if not {name, made} & left:
                    break
                await asyncio.sleep(0.2)
            assert not {name, made} & left
            try:
                await gateway.connect(name)
            except dask_gateway.GatewayClusterError:
                return value
            raise AssertionError("it has ended")

    return asyncio.run(asyncio.wait_for(run(), CASE_SECONDS - 5))  # then its error says where it was


def run_all(client: str, address: str, password: str) -> dict[str, Any]:
    """Of each case its value and its error (or None); how long each took is printed."""
    here, seen = Here(client, address, password), {}

    def too_long(*_: Any) -> None:
        raise TimeoutError(f"more than {CASE_SECONDS} s")

    signal.signal(signal.SIGALRM, too_long)
    gc.disable()  # what dask-gateway leaves behind hangs if it is collected in the thread of a loop
    for name, function in CASES.items():
        value, error, begun = None, None, time.monotonic()
        signal.alarm(CASE_SECONDS)
        try:
            value = function(here)
        except Exception:
            error = traceback.format_exc()
        signal.alarm(0)
        seen[name] = {"value": value, "error": error}
        sys.stdout.write(f"{client}: {name}: {time.monotonic() - begun:.1f} s\n")
    here.close()
    return seen
