"""A drop-in, complete: dask-gateway's names, signatures, results, errors and attributes, each beside ours.

The tables are what dask-gateway offers today. They are held to the installed one first, so a new version that
offers more fails here, and what to do about it has to be decided.
"""

import asyncio
import gc
import inspect
import math
import signal
import threading
import time
import types
import warnings
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import dask_gateway
import pytest
from dask_gateway import Gateway, GatewayCluster
from dask_gateway.auth import BasicAuth
from distributed import Client

import htcdaskgateway
from htcdaskgateway import GatewayWarning, HTCGateway, HTCGatewayCluster
from htcdaskgateway._worker_pools.adapting import Adapting
from tests.client.gateway_site import PASSWORD, Site

PAIRS: list[tuple[type, type]] = [(Gateway, HTCGateway), (GatewayCluster, HTCGatewayCluster)]

TOP_LEVEL = {
    "BasicAuth": "BasicAuth",
    "Gateway": "HTCGateway",
    "GatewayCluster": "HTCGatewayCluster",
    "GatewayClusterError": "GatewayClusterError",
    "GatewayServerError": "GatewayServerError",
    "GatewayWarning": "GatewayWarning",
    "JupyterHubAuth": "JupyterHubAuth",
    "KerberosAuth": "KerberosAuth",
    "Options": "Options",
    "__version__": "__version__",
}

MEMBERS = {
    "Gateway": {
        "__init__": "(self, address=None, proxy_address=None, public_address=None, auth=None, "
        "asynchronous=False, loop=None)",
        "adapt_cluster": "(self, cluster_name, minimum=None, maximum=None, active=True, **kwargs)",
        "asynchronous": "property",
        "close": "(self)",
        "cluster_options": "(self, use_local_defaults=True, **kwargs)",
        "connect": "(self, cluster_name, shutdown_on_close=False)",
        "get_cluster": "(self, cluster_name, **kwargs)",
        "get_versions": "(self)",
        "list_clusters": "(self, status=None, **kwargs)",
        "loop": "property",
        "new_cluster": "(self, cluster_options=None, shutdown_on_close=True, **kwargs)",
        "scale_cluster": "(self, cluster_name, n, **kwargs)",
        "stop_cluster": "(self, cluster_name, **kwargs)",
        "submit": "(self, cluster_options=None, **kwargs)",
        "sync": "(self, func, *args, **kwargs)",
    },
    "GatewayCluster": {
        "__init__": "(self, address=None, proxy_address=None, public_address=None, auth=None, "
        "cluster_options=None, shutdown_on_close=True, asynchronous=False, loop=None, **kwargs)",
        "adapt": "(self, minimum=None, maximum=None, active=True, **kwargs)",
        "asynchronous": "property",
        "close": "(self, shutdown=None)",
        "from_name": "(cluster_name, shutdown_on_close=False, address=None, proxy_address=None, "
        "public_address=None, auth=None, asynchronous=False, loop=None)",
        "get_client": "(self, set_as_default=True)",
        "loop": "property",
        "scale": "(self, n, **kwargs)",
        "shutdown": "(self)",
    },
}
ROWS = [
    pytest.param(upstream, ours, name, said, id=f"{upstream.__name__}.{name}")
    for upstream, ours in PAIRS
    for name, said in MEMBERS[upstream.__name__].items()
]


def members(kind: type) -> dict[str, str]:
    """The public ones, as in the table."""
    return {
        name: "property" if isinstance(member, property) else str(inspect.signature(getattr(kind, name)))
        for name, member in inspect.getmembers(kind)
        if not name.startswith("_") or name == "__init__"
    }


def test_each_top_level_name_of_dask_gateway_is_here() -> None:
    # Which modules are there depends on what was imported before.
    offered = {name for name, value in vars(dask_gateway).items() if not inspect.ismodule(value)}
    public = {name for name in offered if not name.startswith("_")} | {"__version__"}
    assert public == set(TOP_LEVEL)
    for theirs, ours in TOP_LEVEL.items():
        found = getattr(htcdaskgateway, ours)
        assert theirs != ours or theirs == "__version__" or found is getattr(dask_gateway, theirs)
        assert isinstance(found, type(getattr(dask_gateway, theirs)))


@pytest.mark.parametrize("upstream", [Gateway, GatewayCluster])
def test_the_table_of_members_is_dask_gateways_own(upstream: type) -> None:
    assert members(upstream) == MEMBERS[upstream.__name__]


@pytest.mark.parametrize(("upstream", "ours", "name", "said"), ROWS)
def test_every_signature_is_upstreams_and_what_is_added_is_optional(
    upstream: type, ours: type, name: str, said: str
) -> None:
    if said == "property":
        assert isinstance(inspect.getattr_static(ours, name), property)
        return
    theirs = inspect.signature(getattr(upstream, name)).parameters
    added = dict(inspect.signature(getattr(ours, name)).parameters)
    for parameter, expected in theirs.items():
        found = added.pop(parameter)
        assert (found.name, found.kind, found.default) == (expected.name, expected.kind, expected.default)
    positional = [p.name for p in theirs.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert list(inspect.signature(getattr(ours, name)).parameters)[: len(positional)] == positional
    assert all(parameter.default is None for parameter in added.values())


@pytest.mark.parametrize(("upstream", "ours"), PAIRS)
def test_the_classes_are_dask_gateways_own(upstream: type, ours: type) -> None:
    assert issubclass(ours, upstream)


# What is called, given a gateway and its running cluster. Both clients have to do the same: the kind of what
# comes back, or of what is raised.
Call = Callable[[Any, Any], Any]
SAME: dict[str, Call] = {
    "scale": lambda g, c: c.scale(0),
    "scale(True)": lambda g, c: c.scale(True),
    "scale(2.0)": lambda g, c: c.scale(2.0),
    "scale(1.5)": lambda g, c: c.scale(1.5),
    "scale(-1)": lambda g, c: c.scale(-1),
    "scale('2')": lambda g, c: c.scale("2"),
    "scale(None)": lambda g, c: c.scale(None),
    "scale, unknown keyword": lambda g, c: c.scale(1, workers=2),
    "scale_cluster": lambda g, c: g.scale_cluster(c.name, 0),
    "scale_cluster, unknown": lambda g, c: g.scale_cluster("gateway.nobody", 1),
    "adapt": lambda g, c: c.adapt(),
    "adapt(0, inf)": lambda g, c: c.adapt(0, math.inf),
    "adapt(5, 2)": lambda g, c: c.adapt(5, 2),
    "adapt(1.0, 2.0)": lambda g, c: c.adapt(1.0, 2.0),
    "adapt(None, 3)": lambda g, c: c.adapt(None, 3),
    "adapt(active=False)": lambda g, c: c.adapt(active=False),
    "adapt, unknown keyword": lambda g, c: c.adapt(0, 1, workers=2),
    "adapt_cluster": lambda g, c: g.adapt_cluster(c.name, active=False),
    "adapt_cluster, unknown": lambda g, c: g.adapt_cluster("gateway.nobody"),
    "list_clusters": lambda g, c: g.list_clusters(),
    "list_clusters, status": lambda g, c: g.list_clusters(status=["running", "stopped"]),
    "list_clusters, no such status": lambda g, c: g.list_clusters(status="tired"),
    "get_cluster": lambda g, c: g.get_cluster(c.name),
    "get_cluster, unknown": lambda g, c: g.get_cluster("gateway.nobody"),
    "get_versions": lambda g, c: g.get_versions(),
    "cluster_options": lambda g, c: g.cluster_options(),
    "stop_cluster, unknown": lambda g, c: g.stop_cluster("gateway.nobody"),
    "submit, unknown option": lambda g, c: g.submit(colour="red"),
    "submit, no options": lambda g, c: g.submit({"colour": "red"}),
    "new_cluster, unknown option": lambda g, c: g.new_cluster(colour="red"),
    "new_cluster, no options": lambda g, c: g.new_cluster({"colour": "red"}),
    "connect": lambda g, c: g.connect(c.name),
    "connect, unknown": lambda g, c: g.connect("gateway.nobody"),
    "from_name, unknown": lambda g, c: type(c).from_name(
        "gateway.nobody", address=g.address, auth=g.auth, asynchronous=g.asynchronous
    ),
    "get_client": lambda g, c: c.get_client(set_as_default=False),
}
# dask-gateway takes these, and the scheduler that gets them is wrong for ever after.
REFUSED: dict[str, Call] = {
    "adapt(-1)": lambda g, c: c.adapt(-1),
    "adapt(0, -1)": lambda g, c: c.adapt(0, -1),
    "adapt(0.5, 3)": lambda g, c: c.adapt(0.5, 3),
    "adapt('1')": lambda g, c: c.adapt("1"),
    "adapt(0, nan)": lambda g, c: c.adapt(0, math.nan),
}
EQUIVALENT = {HTCGateway: Gateway, HTCGatewayCluster: GatewayCluster, Adapting: types.CoroutineType}


async def done(answer: Any) -> Any:
    return await answer if inspect.isawaitable(answer) else answer


@pytest.fixture
def collected_here() -> Iterator[None]:
    """What dask-gateway leaves behind hangs if it is collected in the thread of a loop."""
    gc.collect()
    gc.disable()
    yield
    gc.collect()
    gc.enable()


def outcome(call: Call, gateway: Any, cluster: Any) -> Any:
    """The kind of the result or of the error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GatewayWarning)
        try:
            answer = call(gateway, cluster)
            if isinstance(answer, (Client, GatewayCluster)):
                answer.close()
            return EQUIVALENT.get(type(answer), type(answer))
        except Exception as error:
            return f"raises {type(error).__name__}"


async def async_outcome(call: Call, gateway: Any, cluster: Any) -> Any:
    """The kinds of what was given, and of what came when it was awaited."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GatewayWarning)
        try:
            answer = call(gateway, cluster)
            kind = EQUIVALENT.get(type(answer), type(answer))
            result: Any = await done(answer)
            if isinstance(result, (Client, GatewayCluster)):
                await done(result.close())
            return kind, EQUIVALENT.get(type(result), type(result))
        except Exception as error:
            return f"raises {type(error).__name__}"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # dask-gateway's, of these
@pytest.mark.usefixtures("collected_here")
def test_each_call_gives_or_raises_the_same(site: Site) -> None:
    seen: dict[type, dict[str, Any]] = {}
    for kind in (Gateway, HTCGateway):
        with (
            kind(site.address, auth=BasicAuth("alike", PASSWORD)) as gateway,
            gateway.new_cluster() as cluster,
        ):
            seen[kind] = {name: outcome(call, gateway, cluster) for name, call in SAME.items()}
            refused = {outcome(call, gateway, cluster) for call in REFUSED.values()}
            assert refused == ({type(None)} if kind is Gateway else {"raises ValueError"})
    assert seen[HTCGateway] == seen[Gateway]
    assert seen[Gateway]["scale(2.0)"] == "raises ValueError"
    assert seen[Gateway]["connect"] is GatewayCluster


async def test_each_asynchronous_call_gives_or_raises_the_same(site: Site) -> None:
    seen: dict[type, dict[str, Any]] = {}
    for kind in (Gateway, HTCGateway):
        auth = BasicAuth("alike-too", PASSWORD)
        async with (
            kind(site.address, auth=auth, asynchronous=True) as gateway,
            gateway.new_cluster() as cluster,
        ):
            seen[kind] = {name: await async_outcome(call, gateway, cluster) for name, call in SAME.items()}
            refused = {await async_outcome(call, gateway, cluster) for call in REFUSED.values()}
            assert (refused == {"raises ValueError"}) is (kind is HTCGateway)
    assert seen[HTCGateway] == seen[Gateway]
    assert all(not isinstance(result, tuple) or len(result) == 2 for result in seen[Gateway].values())


def test_each_attribute_of_the_objects_is_there_and_of_the_same_kind(site: Site) -> None:
    kinds: list[dict[str, type]] = []
    for kind in (Gateway, HTCGateway):
        with (
            kind(site.address, auth=BasicAuth("attributes", PASSWORD)) as gateway,
            gateway.new_cluster() as cluster,
        ):
            names = [f"gateway.{name}" for name in vars(gateway)] + [
                f"cluster.{name}" for name in vars(cluster)
            ]
            if kind is HTCGateway:
                names = list(kinds[0])
            found = {}
            for name in names:
                owner, _, attribute = name.partition(".")
                value = getattr(gateway if owner == "gateway" else cluster, attribute)
                found[name] = EQUIVALENT.get(type(value), type(value))
            kinds.append(found)
    assert "cluster.scheduler_info" in kinds[0]
    assert kinds[1] == kinds[0]


def test_a_gateway_without_the_extension_makes_kubernetes_clusters(plain_site: Site) -> None:
    with (
        plain_site.gateway("kube") as gateway,
        gateway.new_cluster(worker_backend="kubernetes") as cluster,
    ):
        assert gateway.get_cluster(cluster.name).options == {}
        cluster.scale(1)
        cluster.get_client().wait_for_workers(1, timeout=30)


def test_bounds_of_adapt_that_cross_are_taken_and_said(site: Site) -> None:
    with site.gateway("crossed") as gateway, gateway.new_cluster() as cluster:
        with pytest.warns(GatewayWarning, match="the maximum holds, so 2 workers"):
            cluster.adapt(5, 2)
        cluster.get_client().wait_for_workers(2, timeout=30)


class SiteGateway(HTCGateway):
    """What a site might do: a method of its own, that needs state of its own."""

    def __init__(self, *args: Any, team: str = "none", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.team = team

    def whose(self) -> str:
        return f"the {self.team} team"

    async def _request(self, *args: Any, **kwargs: Any) -> Any:
        assert self.whose()
        return await super()._request(*args, **kwargs)


def test_the_clusters_of_a_subclass_know_it(site: Site) -> None:
    with SiteGateway(site.address, auth=BasicAuth("team", PASSWORD), team="tau") as gateway:
        with gateway.new_cluster() as cluster:
            assert type(cluster.gateway) is SiteGateway
            assert cluster.gateway.whose() == "the tau team"
            assert cluster.gateway._loop_runner is not gateway._loop_runner
            with gateway.connect(cluster.name) as again:
                assert type(again.gateway) is SiteGateway
        assert gateway.list_clusters() == []
        assert cluster.logs() == {}, "asked anew, as the site's own"


@pytest.mark.parametrize("connected", [False, True])
def test_a_clients_shutdown_ends_the_cluster(site: Site, connected: bool) -> None:
    with site.gateway("shut") as gateway:
        for make in (Client, lambda cluster: cluster.get_client()):
            cluster = gateway.connect(gateway.submit()) if connected else gateway.new_cluster()
            client = make(cluster)
            client.shutdown()
            assert (client.status, cluster.status) == ("closed", "closed")
            assert gateway.list_clusters() == []
            cluster.close()


async def test_an_asynchronous_clients_shutdown_ends_the_cluster_as_dask_gateways_does(site: Site) -> None:
    async with site.gateway("shut-async", asynchronous=True) as gateway:
        for kind in ("made", "connected"):
            made: Awaitable[Any] = (
                gateway.new_cluster() if kind == "made" else gateway.connect(await gateway.submit())
            )
            cluster = await made
            client = await Client(cluster, asynchronous=True)
            await client.shutdown()
            left = [report.name for report in await gateway.list_clusters()]
            assert left == ([] if kind == "made" else [cluster.name])
        await gateway.stop_cluster(cluster.name)


def test_a_cluster_that_the_garbage_collector_closes_in_its_own_loop_ends(site: Site) -> None:
    with site.gateway("collected") as gateway:
        cluster, done = gateway.new_cluster(), threading.Event()

        def close() -> None:
            cluster.close()
            done.set()

        cluster.loop.add_callback(close)
        assert done.wait(10)
        for _ in range(100):
            if not gateway.list_clusters():
                break
            time.sleep(0.1)
        assert gateway.list_clusters() == []


def test_an_interrupted_start_leaves_no_cluster(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with site.gateway("interrupted") as gateway:

        async def wait(self: Gateway, name: str) -> None:
            await asyncio.sleep(30)

        monkeypatch.setattr(Gateway, "_wait_for_start", wait)
        interrupt = (threading.main_thread().ident, signal.SIGINT)  # as Ctrl-C, which wakes who waits
        threading.Timer(3, signal.pthread_kill, interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            gateway.new_cluster()
        assert gateway.list_clusters() == []


def test_a_cluster_is_shut_down_once_the_gateway_has_taken_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site.gateway("failing") as gateway:
        cluster = gateway.new_cluster()

        async def fails(self: Gateway, name: str) -> None:
            raise OSError("no way")

        with monkeypatch.context() as patch:
            patch.setattr(Gateway, "_stop_cluster", fails)
            cluster.shutdown()
        assert not cluster.is_shutdown
        assert "was shut down" not in str(cluster.explain())
        gateway.stop_cluster(cluster.name)
        with gateway.new_cluster() as other:
            other.shutdown()
            assert other.is_shutdown


def test_a_gateway_that_is_closed_in_its_own_loop_does_not_wait_for_itself(site: Site) -> None:
    """As the garbage collector may."""
    gateway = site.gateway("itself")
    gateway.list_clusters()
    done = threading.Event()

    def close() -> None:
        gateway.close()
        done.set()

    gateway.loop.add_callback(close)
    assert done.wait(10)
    gateway.close()


def test_closing_a_client_or_a_connected_cluster_ends_nothing(site: Site) -> None:
    with site.gateway("kept") as gateway:
        name = gateway.submit()
        with gateway.connect(name) as cluster:
            Client(cluster).close()
        assert [report.name for report in gateway.list_clusters()] == [name]
        gateway.stop_cluster(name)
