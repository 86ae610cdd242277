"""What the gateway may tell of the site's settings; and that it is written whatever Kubernetes says first."""

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import yaml

from htcdask_api import Template, names
from htcdask_operator.core.policy import Policy, Profile
from htcdask_operator.kube.leases import Lease
from htcdask_operator.process import offer
from htcdask_operator.settings import parse
from tests.builders import make_policy
from tests.fakes.kube import FakeKube
from tests.unit.virtual_time import in_virtual_time

LEASE = Lease("htcdask/htcdask/pod-1", 15, "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:05.000000Z")
SETTINGS: dict[str, Any] = {
    "operatorId": "hidden.operator",
    "gatewayNamespaces": ["gateway"],
    "leader": {"namespace": "hidden", "name": "hidden"},
    "accessPoint": {"collector": "hidden.example", "schedd": "hidden@ap"},
    "tokenFile": "/hidden/token",
    "schedulerAddress": "hidden.example:443",
    "accountingGroup": "group_hidden",
    "imagePathTemplate": "/cvmfs/hidden/{registry}/{name}",
    "imageTrees": ["/cvmfs", "/data/images"],
    "allowedImages": ["/cvmfs/org/*"],
    "template": {
        "containerImage": "/cvmfs/org/image",
        "memory": "4Gi",
        "environment": {"TOKEN": "hidden"},
        "requirements": 'Hidden == "hidden"',
        "rank": "Hidden",
        "resources": {"hidden": 1},
    },
    "profiles": {
        "Small GPU": {
            "template": {"gpus": 1, "memory": "16Gi", "environment": {"HIDDEN_KEY": "hidden"}},
            "requirements": "Hidden >= 7.0",
            "rank": "HiddenMb",
            "accountingGroup": "group_hidden_gpu",
            "attributes": {"MyExperiment": "hidden"},
            "maxReplicas": 20,
            "users": ["alice", "dune-*"],
            "groups": ["atlas"],
        },
        "plain": {},
    },
    "limits": {"maxMemoryPerUser": "64Gi", "maxGpus": 0, "maxRuntimeSeconds": 86400},
    "allowUserExpressions": False,
}


def test_profiles_limits_and_images_are_told_and_no_word_more() -> None:
    told = offer.content(parse(yaml.safe_dump(SETTINGS)).policy)
    assert told == {
        "template": {
            "containerImage": "/cvmfs/org/image",
            "cores": 1,
            "memory": "4Gi",
            "disk": "4Gi",
            "gpus": 0,
            "threads": 1,
            "nanny": True,
            "maxRuntimeSeconds": 86400,
        },
        "profiles": {
            "Small GPU": {
                "template": {"gpus": 1, "memory": "16Gi"},
                "attributes": ["MyExperiment"],
                "users": ["alice", "dune-*"],
                "groups": ["atlas"],
                "maxReplicas": 20,
            },
            "plain": {"template": {}, "attributes": [], "users": [], "groups": []},
        },
        "limits": {
            "maxReplicasPerPool": 1000,
            "maxMemoryPerUser": 64 * 2**30,
            "maxGpus": 0,
            "maxRuntimeSeconds": 86400,
        },
        "images": {"trees": ["/cvmfs", "/data/images"], "allowed": ["/cvmfs/org/*"], "fromGateway": True},
        "userExpressions": False,
    }
    assert "hidden" not in json.dumps(told).lower()


class Kube(FakeKube):
    def __init__(self) -> None:
        super().__init__()
        self.leases["gateway", names.CLAIM] = LEASE
        self.writes = 0

    async def write_offer(self, namespace: str, data: Mapping[str, str]) -> None:
        await super().write_offer(namespace, data)
        self.writes += 1


@contextmanager
def publishing(kube: Kube, policy: Policy) -> Iterator[None]:
    task = asyncio.ensure_future(offer.publish(kube, ("gateway",), policy, LEASE.holder))
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()


def test_it_is_written_with_whose_it_is_and_again_when_somebody_took_it_away() -> None:
    async def run() -> None:
        kube = Kube()
        with publishing(kube, make_policy()):
            await asyncio.sleep(1)
            written = dict(kube.offers["gateway"])
            assert json.loads(written.pop(offer.CONTENT)) == offer.content(make_policy())
            assert written == {"holder": LEASE.holder, "acquired": LEASE.acquired}
            kube.offers.clear()
            await asyncio.sleep(300)
            assert "gateway" in kube.offers
            assert kube.writes == 2

    in_virtual_time(run)


def test_a_silent_kubernetes_is_named_once_and_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        kube = Kube()
        kube.failing = "no route"
        with publishing(kube, make_policy()):
            await asyncio.sleep(100)
            assert kube.offers == {}
            kube.failing = None
            await asyncio.sleep(20)
            assert "gateway" in kube.offers

    with caplog.at_level(logging.WARNING):
        in_virtual_time(run)
    assert [record.getMessage() for record in caplog.records] == [
        "The gateway is not told what the site offers: lease: no route"
    ]


def test_without_a_lease_nothing_is_said_in_its_name(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        kube = Kube()
        kube.leases.clear()
        with publishing(kube, make_policy()):
            await asyncio.sleep(20)
            assert kube.offers == {}

    in_virtual_time(run)
    assert "the Lease htcdask-worker-pools in gateway is gone" in caplog.text


def test_what_is_another_operators_by_now_is_not_written_over(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        kube = Kube()
        kube.leases["gateway", names.CLAIM] = replace(LEASE, holder="other/htcdask/pod-1")
        with publishing(kube, make_policy()):
            await asyncio.sleep(20)
            assert kube.offers == {}

    in_virtual_time(run)
    assert "the Lease htcdask-worker-pools in gateway is another's by now" in caplog.text


def profile(*users: str, groups: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"profiles": {"p": Profile("p", Template(), users=users, groups=groups)}}


@pytest.mark.parametrize(
    ("much", "words"),
    [
        ({"allowed_images": ("/cvmfs/" + "x" * 1000,) * 600}, "bytes, of 524288"),
        (profile(*["dune-*"] * 3000), "patterns in profiles.NAME.users are 18000 characters, of 16384"),
        (profile(groups=("g" * 256,) * 3000), "bytes, of 524288"),
    ],
    ids=["bytes", "patterns", "groups"],
)
def test_more_than_the_gateway_reads_is_not_written(
    much: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        kube = Kube()
        with publishing(kube, make_policy(**much)):
            await asyncio.sleep(1000)
            assert kube.offers == {}

    in_virtual_time(run)
    assert words in caplog.text


def test_a_long_list_of_plain_names_is_written() -> None:
    users, groups = (tuple(f"{whose}{number}" for number in range(10_000)) for whose in ("user", "*group"))

    async def run() -> None:
        kube = Kube()
        with publishing(kube, make_policy(**profile(*users, groups=groups))):
            await asyncio.sleep(1)
            assert "user9999" in kube.offers["gateway"][offer.CONTENT]
            assert "*group9999" in kube.offers["gateway"][offer.CONTENT]

    in_virtual_time(run)
