"""`gateway.profiles()`, and what is refused by it before anything is made: on a real gateway."""

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest
from dask_gateway import GatewayServerError

import htcdaskgateway
from htcdask_api import Template
from htcdask_operator.core.policy import Profile
from htcdaskgateway import HTCGateway, HTCGatewayCluster, PoolRefusedError
from htcdaskgateway._worker_pools import offer_route
from tests.builders import make_policy
from tests.client.gateway_site import IMAGE, Site

POLICY = make_policy(
    default_template=Template(container_image=IMAGE),
    profiles={
        "Small GPU": Profile("Small GPU", Template(gpus=1, memory="16Gi")),
        "dune": Profile("dune", Template(cores=4), users=("dune-*",)),
    },
    max_memory_per_user=2**36,
)


def test_the_profiles_of_a_site_are_shown_to_their_user(site: Site) -> None:
    with site.offering(POLICY), site.gateway("profiles") as gateway:
        found = gateway.profiles()
    assert isinstance(found, htcdaskgateway.Profiles)
    assert found.offer is not None
    assert [(profile.name, profile.you_may) for profile in found.offer.profiles] == [
        ("Small GPU", True),
        ("dune", False),
    ]


async def test_an_asynchronous_gateway_is_awaited_for_them(site: Site) -> None:
    with site.offering(POLICY):
        async with site.gateway("profiles", asynchronous=True) as gateway:
            found = await gateway.profiles()
            assert [profile["name"] for profile in found.to_dict()["profiles"]] == ["Small GPU", "dune"]
            with pytest.raises(PoolRefusedError, match="Did you mean 'Small GPU'"):
                await gateway.new_cluster(profile="Smal GPU")
            assert await gateway.list_clusters() == []


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"profile": "Smal GPU"}, "profile: this site has no profile 'Smal GPU'. Did you mean 'Small GPU'?"),
        ({"profile": "dune"}, "profile: the site's profile 'dune' is not for you. Yours are: Small GPU"),
        ({"worker_memory": 65}, "worker_memory: a worker of 65 GiB can never run"),
        ({"memory": "65GB"}, "worker_memory: a worker of 65 GiB can never run"),
        ({"container_image": "/home/x"}, "container_image: /home/x would be a folder of the execute node"),
    ],
)
def test_what_the_operator_would_refuse_makes_no_cluster(
    site: Site, keywords: dict[str, Any], words: str
) -> None:
    with site.offering(POLICY), site.gateway("turned-away") as gateway:
        before = len(asyncio.run(site.pools()))
        for make in (gateway.new_cluster, gateway.submit):
            with pytest.raises(PoolRefusedError) as refusal:
                make(**keywords)
            assert str(refusal.value).startswith(words)
            assert str(refusal.value).endswith("Nothing was made; gateway.profiles() shows what there is.")
        with pytest.raises(PoolRefusedError):
            HTCGatewayCluster(address=site.address, auth=gateway.auth, **keywords)
        assert gateway.list_clusters(status=("pending", "running", "stopping", "stopped", "failed")) == []
        assert len(asyncio.run(site.pools())) == before


def test_what_the_operator_would_refuse_of_a_further_pool_is_not_made(site: Site) -> None:
    with site.offering(POLICY), site.gateway("further") as gateway, gateway.new_cluster() as cluster:
        for keywords, words in (
            (
                {"profile": "Smal GPU"},
                "profile: this site has no profile 'Smal GPU'. Did you mean 'Small GPU'?",
            ),
            ({"worker_memory": 65}, "worker_memory: a worker of 65 GiB can never run"),
        ):
            with pytest.raises(PoolRefusedError) as refusal:
                cluster.add_pool("gpu", 1, **keywords)
            assert str(refusal.value).startswith(words)
        assert [pool.name for pool in cluster.pools] == ["default"]
        cluster.add_pool("gpu", 1, profile="Small GPU")
        assert [pool.name for pool in cluster.pools] == ["default", "gpu"]


def test_what_it_would_take_is_made(site: Site) -> None:
    with site.offering(POLICY), site.gateway("dune-1") as gateway:
        for keywords in ({"profile": "dune"}, {"profile": "Small GPU", "worker_memory": 64}, {}):
            name = gateway.submit(**keywords)
            assert len(site.pools_of(name)) == 1
            gateway.stop_cluster(name)
        kubernetes = gateway.submit(worker_backend="kubernetes")  # no worker of it is the operator's
        gateway.stop_cluster(kubernetes)


def test_where_the_gateway_does_not_say_nothing_changes(site: Site, plain_site: Site) -> None:
    with site.gateway("unsaid") as gateway:
        found = gateway.profiles()
        assert found.offer is None
        assert str(found).startswith("The profiles of this site are not known: The operator does not say")
        name = gateway.submit(profile="any", container_image="/home/x")
        assert site.pools_of(name)[0]["spec"]["template"]["profile"] == "any"
        gateway.stop_cluster(name)
    with plain_site.gateway("unsaid") as gateway:
        assert gateway.profiles().situation == offer_route.NOT_SAID


OVER_ALL_BOUNDS = json.dumps(
    {
        "offer": {
            "template": {},
            "profiles": [],
            "limits": {"maxCores": 10**400},
            "userExpressions": True,
            "images": {"trees": [], "allowed": [], "fromGateway": True},
        }
    }
)


class Answer:
    """A gateway that answers the question with this text."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def text(self) -> str:
        return self._text


def answering(site: Site, monkeypatch: pytest.MonkeyPatch, outcome: object, seconds: float = 0) -> HTCGateway:
    stock = HTCGateway._request

    async def request(self: HTCGateway, method: str, url: str, json: Any = None) -> Any:
        if not url.endswith("/api/v1/htcondor"):
            return await stock(self, method, url, json=json)
        await asyncio.sleep(seconds)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(HTCGateway, "_request", request)
    return site.gateway("answers")


@pytest.mark.parametrize(
    ("text", "situation"),
    [
        (json.dumps({"version": 1, "defaultWorkerBackend": "kubernetes"}), offer_route.NOT_SAID),
        (json.dumps({"offer": None, "why": "it is too early"}), "it is too early"),
        (json.dumps({"offer": None}), "None"),
        (json.dumps({"offer": {}}), offer_route.NOT_UNDERSTOOD),
        (json.dumps({"offer": {"profiles": "all"}}), offer_route.NOT_UNDERSTOOD),
        (OVER_ALL_BOUNDS, offer_route.NOT_UNDERSTOOD),
        ("[]", offer_route.NOT_SAID),
        ("<html>", offer_route.NOT_UNDERSTOOD),
        ("[" * 100_000, offer_route.NOT_UNDERSTOOD),
    ],
)
def test_an_answer_without_an_offer_is_none(
    site: Site, monkeypatch: pytest.MonkeyPatch, text: str, situation: str
) -> None:
    with answering(site, monkeypatch, Answer(text)) as gateway:
        assert gateway.profiles() == htcdaskgateway.Profiles(None, situation)
        gateway.stop_cluster(gateway.submit(profile="any"))


@pytest.mark.parametrize(
    "error", [GatewayServerError("it broke"), OSError("no route"), aiohttp.ServerDisconnectedError()]
)
def test_a_gateway_that_fails_to_answer_holds_no_cluster_up(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    with answering(site, monkeypatch, error) as gateway:
        with pytest.raises(type(error)):
            gateway.profiles()
        gateway.stop_cluster(gateway.submit(profile="any"))


def test_a_gateway_that_is_silent_about_it_costs_a_while(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offer_route, "_SECONDS", 0.5)
    with answering(site, monkeypatch, Answer("{}"), seconds=60) as gateway:
        began = time.monotonic()
        gateway.stop_cluster(gateway.submit(profile="any"))
        assert 0.5 < time.monotonic() - began < 10
