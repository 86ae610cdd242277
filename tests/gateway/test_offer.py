"""What the site offers, through the gateway: as the operator says it, while that one is at work."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from dask_gateway_server.models import User
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes_asyncio.client.rest import ApiException

import htcdask_offer
from htcdask_api import Template, names
from htcdask_operator.core.policy import Policy, Profile
from htcdask_operator.kube.api import KubeApi
from htcdask_operator.kube.leases import Lease
from htcdask_operator.process import offer
from playground.node.controlplane import ControlPlane
from tests.builders import make_policy
from tests.gateway.servers import NAMESPACE, OURS, Site, account_kubeconfig, extra_config, running_api

ROUTE = "/api/v1/htcondor"
LEASE = Lease("htcdask/htcdask/pod-1", 15, "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:00.000000Z")
POLICY = make_policy(
    default_template=Template(container_image="/cvmfs/org/image", environment={"TOKEN": "hidden"}),
    profiles={
        "Small GPU": Profile("Small GPU", Template(gpus=1, memory="16Gi"), attributes={"Flavour": "hidden"}),
        "dune": Profile("dune", Template(cores=4), max_replicas=20, users=("dune-*", "grace")),
    },
    max_memory_per_user=2**36,
    allowed_images=("/cvmfs/*",),
)
TEMPLATE = {"containerImage": "/cvmfs/org/image", "cores": 1, "memory": "2Gi", "disk": "4Gi", "gpus": 0}
TEMPLATE |= {"threads": 1, "nanny": True}


@pytest.fixture
def namespace(site: Site) -> Iterator[Site]:
    """No operator has been here."""
    yield site
    site.kubectl("delete", "--ignore-not-found", f"configmap/{names.OFFER}", f"lease/{names.CLAIM}")


def operator(plane: ControlPlane, lease: Lease = LEASE, policy: Policy = POLICY) -> None:
    """One takes the namespace, and says what its site offers."""

    async def run() -> None:
        configuration = Configuration()
        await config.load_kube_config(str(plane.kubeconfig), client_configuration=configuration)
        kube = KubeApi(ApiClient(configuration), "gateway-test")
        try:
            before = await kube.lease(NAMESPACE, names.CLAIM)
            version = before.version if before is not None else None
            written = Lease(lease.holder, lease.seconds, lease.acquired, lease.renewed, version=version)
            await kube.write_lease(NAMESPACE, names.CLAIM, written)
            if lease.holder == LEASE.holder:
                assert (
                    await offer.write(kube, NAMESPACE, json.dumps(offer.content(policy)), LEASE.holder)
                    is None
                )
        finally:
            await kube.close()

    asyncio.run(run())


def why(site: Site) -> str:
    status, told = site.api("ada", "GET", ROUTE)
    assert (status, told["version"], told["offer"]) == (200, 1, None)
    head, _, reason = told["why"].partition(": ")
    assert head == "The operator does not say what this site offers"
    return str(reason)


def test_the_operators_words_reach_a_user_with_what_is_theirs(namespace: Site) -> None:
    operator(namespace.plane)
    status, told = namespace.api("ada", "GET", ROUTE)
    assert (status, told.keys()) == (200, {"version", "defaultWorkerBackend", "offer", "laterEntries"})
    gpu = {"name": "Small GPU", "youMay": True, "attributes": ["Flavour"]}
    dune = {"name": "dune", "youMay": False, "attributes": [], "template": {"cores": 4}, "maxReplicas": 20}
    assert told["offer"] == {
        "template": TEMPLATE,
        "profiles": [{**gpu, "template": {"gpus": 1, "memory": "16Gi"}}, dune],
        "limits": {"maxReplicasPerPool": 1000, "maxMemoryPerUser": 2**36},
        "images": {"trees": ["/cvmfs"], "allowed": ["/cvmfs/*"], "fromGateway": False},
        "userExpressions": True,
    }
    for user in ("grace", "dune-7"):
        profiles = namespace.replica(user, "GET", ROUTE)[1]["offer"]["profiles"]
        assert [profile["youMay"] for profile in profiles] == [True, True]
        assert "grace" not in json.dumps(profiles)


def test_who_does_not_log_in_is_told_nothing(namespace: Site) -> None:
    operator(namespace.plane)
    assert namespace.api(None, "GET", ROUTE)[0] == 401
    cluster = namespace.cluster()
    assert namespace.api(None, "GET", ROUTE, token=namespace.token(cluster))[0] == 401


def test_an_older_operator_says_nothing(namespace: Site) -> None:
    assert why(namespace) == "it is older than this, or has not started yet."


def test_what_an_earlier_operator_said_does_not_count(namespace: Site) -> None:
    operator(namespace.plane)
    older = Lease("htcdask/htcdask/pod-0", 15, "2026-01-02T00:00:00.000000Z", LEASE.renewed)
    operator(namespace.plane, older)
    assert why(namespace).startswith("the last word is an earlier one's")
    operator(namespace.plane, Lease("", 15, "2026-01-02T00:00:00.000000Z", LEASE.renewed))
    assert why(namespace) == "none is at work at the moment."


def with_users(users: object, **groups: object) -> str:
    profile: dict[str, object] = {"template": {}, "attributes": [], "users": users, **groups}
    return json.dumps({**offer.content(POLICY), "profiles": {"p": profile}})


GARBAGE = [
    "",
    "no JSON",
    "[" * 100_000,
    "[]",
    "{}",
    "x" * (htcdask_offer.LARGEST + 1),
    json.dumps({**offer.content(POLICY), "profiles": {"gpu": {}}}),
    json.dumps({**offer.content(POLICY), "profiles": ["gpu"]}),
    json.dumps({**offer.content(POLICY), "limits": {"maxMemory": "much"}}),
    json.dumps({**offer.content(POLICY), "template": {"cores": True}}),
    json.dumps({**offer.content(POLICY), "images": None}),
    with_users([f"z{number}*" for number in range(60_000)]),  # each a regular expression: half a minute
    with_users(["*a" * 250 + f"b{number}" for number in range(900)]),
    with_users({"a": 1}),
    with_users([], groups="dune"),
    with_users([], groups=[1]),
]


@pytest.mark.parametrize("text", GARBAGE, ids=lambda text: text[-20:])
def test_garbage_is_not_understood_and_hurts_nobody(namespace: Site, text: str, tmp_path: Path) -> None:
    operator(namespace.plane)
    patch = tmp_path / "patch.json"
    patch.write_text(json.dumps({"data": {htcdask_offer.CONTENT: text}}))
    namespace.kubectl("patch", "configmap", names.OFFER, "--type=merge", f"--patch-file={patch}")
    assert why(namespace) == "its words are not understood."


class Backend:
    """The gateway's backend, whose Kubernetes does this when it is asked."""

    def __init__(self, does: Callable[[], Awaitable[Any]]) -> None:
        self.core_client = self.custom_client = self
        self._does = does

    def cluster_config_class(self, parent: object) -> SimpleNamespace:
        return SimpleNamespace(namespace="gateway")

    async def read_namespaced_config_map(self, name: str, namespace: str) -> Any:
        return await self._does()


async def hangs() -> Any:
    await asyncio.sleep(60)


async def breaks() -> Any:
    raise ApiException(status=500, reason="Oh")


async def is_away() -> Any:
    raise aiohttp.ClientConnectionError


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        (hangs, "Kubernetes did not answer in 0 s"),
        (
            breaks,
            "Kubernetes refused the gateway's question (500: Oh): tell the site's admin",
        ),
        (is_away, "Kubernetes could not be asked"),
    ],
)
async def test_a_kubernetes_in_trouble_is_no_error_of_the_route(
    monkeypatch: pytest.MonkeyPatch, does: Callable[[], Awaitable[Any]], reason: str
) -> None:
    monkeypatch.setattr(htcdask_offer, "SECONDS", 0.2)
    told = await htcdask_offer.answer(Backend(does), User("ada"))
    assert told == {"offer": None, "why": f"The operator does not say what this site offers: {reason}."}


def test_ten_thousand_names_are_read_at_once() -> None:
    text = with_users([f"user{number}" for number in range(20_000)] + ["us?r-*"])
    began = time.monotonic()
    assert [may(text, user) for user in ("user19999", "user-", "use")] == [True, True, False]
    assert time.monotonic() - began < 3


def may(text: str, user: str, *groups: str) -> bool:
    return bool(htcdask_offer.read(text, user, groups)["profiles"][0]["youMay"])


def test_a_profile_is_for_its_users_and_its_groups() -> None:
    text = with_users(["bob"], groups=["dune", "at*"])
    assert may(text, "bob")
    assert may(text, "ada", "cms", "dune")
    assert not may(text, "ada")
    assert not may(text, "dune", "atlas")
    text = with_users([], groups=["dune"])
    assert (may(text, "ada"), may(text, "ada", "dune")) == (False, True)
    assert "dune" not in json.dumps(htcdask_offer.read(text, "ada", ["dune"]))


def test_an_older_operator_says_nothing_of_groups() -> None:
    assert may(with_users([]), "ada")
    assert not may(with_users(["bob"]), "ada", "bob")


def test_what_a_newer_operator_says_besides_is_not_passed_on() -> None:
    more: dict[str, Any] = offer.content(POLICY)
    more["template"]["environment"] = {"TOKEN": "hidden"}
    more["profiles"]["dune"]["requirements"] = "hidden"
    more |= {"secret": "hidden", "limits": {"maxHidden": 1}}
    assert "hidden" not in json.dumps(htcdask_offer.read(json.dumps(more), "ada", ())).lower()


def test_a_gateway_without_the_right_says_whom_to_tell(plane: ControlPlane, tmp_path: Path) -> None:
    operator(plane)
    plane.kubectl("create", "serviceaccount", "blind", f"--namespace={NAMESPACE}")
    plane.kubectl(
        *("create", "clusterrolebinding", "blind", "--clusterrole=api-dask-gateway"),
        f"--serviceaccount={NAMESPACE}:blind",
    )
    kubeconfig = account_kubeconfig(plane, "blind", tmp_path)
    with running_api(tmp_path, "blind", kubeconfig, extra_config(OURS)) as api:
        status, told = api("ada", "GET", ROUTE)
    assert (status, told["offer"]) == (200, None)
    assert told["why"].endswith("(403: Forbidden): tell the site's admin.")
