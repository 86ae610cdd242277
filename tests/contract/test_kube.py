"""The port `Kube` keeps its promises: on a real API server, and alike on the fake that other tests use."""

import base64
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import pytest
import pytest_asyncio
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from htcdask_api import (
    Explanation,
    Failure,
    MemoryRequest,
    PoolStatus,
    SchedulerTold,
    WorkerLog,
    WorkerLogs,
    manifest,
    names,
)
from htcdask_api.status import Condition
from htcdask_api.worker_log import MAX_BYTES, MAX_TEXT, MAX_WORKERS
from htcdask_operator.core import sanitize, timestamps
from htcdask_operator.core.model import ClusterFacts, Gone
from htcdask_operator.kube import scheduler_pods
from htcdask_operator.kube.api import KubeApi
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.leases import Lease
from htcdask_operator.kube.port import Credentials
from playground.node.controlplane import ControlPlane
from tests.fakes.kube import FakeKube
from tests.worst import WORST


class Site(Protocol):
    """A Kubernetes, and how a test arranges things in it."""

    @property
    def kube(self) -> FakeKube | KubeApi: ...
    @property
    def namespace(self) -> str: ...
    def create_cluster(self, body: Mapping[str, Any]) -> str: ...
    def create_pool(self, body: Mapping[str, Any]) -> str: ...
    def create_secret(self, name: str, credentials: Credentials) -> None: ...
    def create_scheduler_pod(self, cluster: str, status: Mapping[str, Any]) -> None: ...
    def delete_pool(self, name: str) -> None: ...
    def set_finalizers(self, name: str, finalizers: list[str]) -> None: ...
    def events_of(self, pool: str) -> list[tuple[str, str, str]]: ...
    def described_lease(self, name: str) -> str: ...
    def offer(self) -> Mapping[str, str]: ...
    def log(self, pool: str) -> dict[str, Any]: ...
    def spoil_log(self, pool: str, workers: list[Any]) -> None: ...


class FakeSite:
    namespace = "gateway"

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.create_cluster = self.kube.make_cluster
        self.create_pool = self.kube.make_pool

    def create_secret(self, name: str, credentials: Credentials) -> None:
        self.kube.secrets[self.namespace, name] = credentials

    def create_scheduler_pod(self, cluster: str, status: Mapping[str, Any]) -> None:
        body = {"metadata": {"name": scheduler_pods.name(cluster)}, "status": status}
        self.kube.pod_bodies[self.namespace, scheduler_pods.name(cluster)] = body

    def delete_pool(self, name: str) -> None:
        self.kube.delete_pool(self.namespace, name)

    def set_finalizers(self, name: str, finalizers: list[str]) -> None:
        self.kube.set_finalizers(self.namespace, name, finalizers)

    def events_of(self, pool: str) -> list[tuple[str, str, str]]:
        told = (*self.kube.events, *self.kube.announced)
        return [(kind, reason, message) for name, kind, reason, message in told if name == pool]

    def described_lease(self, name: str) -> str:
        return str(self.events_of(name))

    def offer(self) -> Mapping[str, str]:
        return self.kube.offers[self.namespace]

    def log(self, pool: str) -> dict[str, Any]:
        return self.kube.log_bodies[self.namespace, pool]

    def spoil_log(self, pool: str, workers: list[Any]) -> None:
        self.log(pool)["workers"] = workers


class RealSite:
    def __init__(self, plane: ControlPlane, kube: KubeApi) -> None:
        self.kube = kube
        self.namespace = f"contract-{uuid.uuid4().hex[:8]}"
        self._plane = plane
        plane.kubectl("create", "namespace", self.namespace)

    def create_cluster(self, body: Mapping[str, Any]) -> str:
        return self._create(body, "daskclusters.gateway.dask.org")

    def create_pool(self, body: Mapping[str, Any]) -> str:
        return self._create(body, "htcworkerpools.htcdask.org")

    def _create(self, body: Mapping[str, Any], kind: str) -> str:
        made = json.loads(self._kubectl("create", "-f", "-", "-o", "json", input=json.dumps(body)))
        if "status" in body:
            patch = json.dumps({"status": body["status"]})
            name = body["metadata"]["name"]
            self._kubectl("patch", kind, name, "--subresource=status", "--type=merge", f"--patch={patch}")
        return str(made["metadata"]["uid"])

    def create_secret(self, name: str, credentials: Credentials) -> None:
        parts = {
            "dask.crt": credentials.certificate,
            "dask.pem": credentials.key,
            "api-token": credentials.api_token,
        }
        data = {key: base64.b64encode(text.encode()).decode() for key, text in parts.items()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
        self._kubectl("create", "-f", "-", input=json.dumps(body))

    def create_scheduler_pod(self, cluster: str, status: Mapping[str, Any]) -> None:
        name = scheduler_pods.name(cluster)
        spec = {"containers": [{"name": "dask-scheduler", "image": "nobody/nothing"}]}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        self._kubectl("create", "serviceaccount", "default")
        self._kubectl("create", "-f", "-", input=json.dumps(body))
        patch = json.dumps({"status": status})
        self._kubectl("patch", "pod", name, "--subresource=status", "--type=merge", f"--patch={patch}")

    def delete_pool(self, name: str) -> None:
        self._kubectl("delete", "htcworkerpool", name, "--wait=false")

    def set_finalizers(self, name: str, finalizers: list[str]) -> None:
        patch = json.dumps({"metadata": {"finalizers": finalizers}})
        self._kubectl("patch", "htcworkerpool", name, "--type=merge", f"--patch={patch}")

    def events_of(self, pool: str) -> list[tuple[str, str, str]]:
        found = json.loads(self._kubectl("get", "events", "-o", "json"))["items"]
        mine = (event for event in found if event["involvedObject"]["name"] == pool)
        return [(event["type"], event["reason"], event["message"]) for event in mine]

    def described_lease(self, name: str) -> str:
        return self._kubectl("describe", "lease", name)

    def offer(self) -> Mapping[str, str]:
        data: dict[str, str] = json.loads(self._kubectl("get", "configmap", names.OFFER, "-o", "json"))[
            "data"
        ]
        return data

    def log(self, pool: str) -> dict[str, Any]:
        return dict(json.loads(self._kubectl("get", "htcworkerlog", pool, "-o", "json")))

    def spoil_log(self, pool: str, workers: list[Any]) -> None:
        patch = json.dumps({"workers": workers})
        self._kubectl("patch", "htcworkerlog", pool, "--type=merge", f"--patch={patch}")

    def _kubectl(self, *arguments: str, input: str | None = None) -> str:
        return self._plane.kubectl("--namespace", self.namespace, *arguments, input=input)


@pytest_asyncio.fixture(params=["fake", "real"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    if request.param == "fake":
        yield FakeSite()
        return
    plane = request.getfixturevalue("plane")
    configuration = Configuration()
    await config.load_kube_config(str(plane.kubeconfig), client_configuration=configuration)
    kube = KubeApi(ApiClient(configuration), "contract-test")
    yield RealSite(plane, kube)
    await kube.close()


def cluster(site: Site, name: str = "c1", **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": names.GATEWAY_API_VERSION,
        "kind": names.DASKCLUSTER_KIND,
        "metadata": {"name": name, "namespace": site.namespace},
        "spec": {"username": "alice", "options": {"worker_backend": "htcondor"}, "htcondorReplicas": 4},
        "status": {"phase": "Running", "credentials": f"dask-credentials-{name}", **status},
    }


def pool(site: Site, name: str = "default-c1", cluster: str = "c1", **metadata: Any) -> dict[str, Any]:
    body = manifest.pool(site.namespace, name, cluster, template={"containerImage": "/cvmfs/image"})
    body["metadata"] |= metadata
    return body


THEIRS = "example.org/audit"
STATUS = PoolStatus(
    observed_generation=1,
    desired_replicas=4,
    idle=4,
    replicas=4,
    memory_request=MemoryRequest(
        request_mib=6144, template_mib=4096, message="Workers now request 6 GiB of memory."
    ),
    scheduler_told=SchedulerTold(replicas=4, before=1),
    conditions=(
        Condition(
            type="Ready", status="False", reason="Waiting", last_transition_time="2026-01-01T00:00:00Z"
        ),
    ),
)


async def test_a_cluster_that_is_not_there_is_gone(site: Site) -> None:
    assert await site.kube.cluster(site.namespace, "c1") == Gone()


async def test_a_cluster_says_what_it_wants(site: Site) -> None:
    uid = site.create_cluster(cluster(site))
    found = await site.kube.cluster(site.namespace, "c1")
    assert isinstance(found, ClusterFacts)
    assert (found.uid, found.running, found.replicas, found.htcondor) == (uid, True, 4, True)
    assert (found.username, found.credentials_secret) == ("alice", "dask-credentials-c1")


PULL = "failed to pull image: https://registry.example/v2/x?token=secret&a=b: 403 Forbidden"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({}, ""),
        (
            {
                "phase": "Pending",
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/3 nodes are available: 3 Insufficient memory.",
                    }
                ],
            },
            "Unschedulable: 0/3 nodes are available: 3 Insufficient memory.",
        ),
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": PULL}}}]},
            "ErrImagePull: failed to pull image: https://registry.example/v2/x?... 403 Forbidden",
        ),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, ""),
        (
            {"containerStatuses": [{"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]},
            "OOMKilled: its container dask-scheduler ended with exit code 137",
        ),
        ({"phase": "Failed", "reason": "Evicted", "message": "disk pressure"}, "Evicted: disk pressure"),
    ],
    ids=["nothing yet", "no room", "no image", "on its way", "it ended", "evicted"],
)
async def test_a_schedulers_pod_says_what_it_waits_for(site: Site, status: dict[str, Any], said: str) -> None:
    for container in status.get("containerStatuses", []):
        container |= {"name": "dask-scheduler", "ready": False, "restartCount": 0, "image": "", "imageID": ""}
    site.create_scheduler_pod("c1", status)
    assert await site.kube.scheduler_pod(site.namespace, "c1") == said
    assert await site.kube.scheduler_pod(site.namespace, "c2") == Gone()


async def test_all_clusters_of_a_namespace_are_listed(site: Site) -> None:
    assert await site.kube.clusters(site.namespace) == ()
    for name in ("c1", "c2"):
        site.create_cluster(cluster(site, name))
    found = await site.kube.clusters(site.namespace)
    assert {facts.name for facts in found} == {"c1", "c2"}
    assert found[0] == await site.kube.cluster(site.namespace, found[0].name)


async def test_pools_are_found_by_their_cluster(site: Site) -> None:
    uid = site.create_pool(pool(site, finalizers=[names.FINALIZER]))
    site.create_pool(pool(site, name="default-c2", cluster="c2"))
    (found,) = await site.kube.pools(site.namespace, "c1")
    assert (found.uid, found.name, found.finalized, found.deleting) == (uid, "default-c1", True, False)
    assert found.generation == 1
    assert found.created_at > 0
    assert len(await site.kube.pools(site.namespace)) == 2
    assert await site.kube.pools(site.namespace, "c3") == ()


async def test_a_deleted_pool_is_shown_while_its_finalizer_is_there(site: Site) -> None:
    site.create_pool(pool(site, finalizers=[names.FINALIZER]))
    site.delete_pool("default-c1")
    (found,) = await site.kube.pools(site.namespace, "c1")
    assert found.deleting


@pytest.mark.parametrize("others", [[], [THEIRS]], ids=["alone", "beside another"])
async def test_our_finalizer_comes_and_goes_and_others_stay(site: Site, others: list[str]) -> None:
    site.create_pool(pool(site, finalizers=others))
    (bare,) = await site.kube.pools(site.namespace, "c1")
    assert (bare.finalized, bare.kept_by) == (False, tuple(others))
    await site.kube.publish(bare, STATUS)  # what we write meanwhile is no conflict
    await site.kube.add_finalizer(bare)
    (kept,) = await site.kube.pools(site.namespace, "c1")
    assert (kept.finalized, kept.kept_by, kept.generation) == (True, tuple(others), bare.generation)
    site.delete_pool(kept.name)
    (ending,) = await site.kube.pools(site.namespace, "c1")
    await site.kube.remove_finalizer(ending)
    left = await site.kube.pools(site.namespace, "c1")
    assert [(found.deleting, found.finalizers) for found in left] == (
        [(True, tuple(others))] if others else []
    )


async def test_a_finalizer_that_somebody_adds_meanwhile_is_a_conflict_and_stays(site: Site) -> None:
    site.create_pool(pool(site, finalizers=[]))
    (before,) = await site.kube.pools(site.namespace, "c1")
    site.set_finalizers(before.name, [THEIRS])
    await conflicts(site.kube.add_finalizer(before))
    (after,) = await site.kube.pools(site.namespace, "c1")
    assert after.finalizers == (THEIRS,)
    await site.kube.add_finalizer(after)
    (ours,) = await site.kube.pools(site.namespace, "c1")
    site.set_finalizers(before.name, [names.FINALIZER, THEIRS])  # in another order
    await conflicts(site.kube.remove_finalizer(ours))
    (ours,) = await site.kube.pools(site.namespace, "c1")
    await site.kube.remove_finalizer(ours)
    (left,) = await site.kube.pools(site.namespace, "c1")
    assert left.finalizers == (THEIRS,)


async def test_a_finalizer_that_went_meanwhile_is_a_conflict(site: Site) -> None:
    site.create_pool(pool(site, finalizers=[names.FINALIZER]))
    (before,) = await site.kube.pools(site.namespace, "c1")
    site.set_finalizers(before.name, [])
    await conflicts(site.kube.remove_finalizer(before))


async def test_a_pool_that_is_deleted_meanwhile_takes_no_finalizer(site: Site) -> None:
    site.create_pool(pool(site, finalizers=[THEIRS]))
    (before,) = await site.kube.pools(site.namespace, "c1")
    site.delete_pool(before.name)
    await conflicts(site.kube.add_finalizer(before))


async def test_a_new_pool_of_the_same_name_is_not_touched(site: Site) -> None:
    for held, change in (([], "add_finalizer"), ([names.FINALIZER], "remove_finalizer")):
        site.create_pool(pool(site, finalizers=held))
        (old,) = await site.kube.pools(site.namespace, "c1")
        site.delete_pool(old.name)
        if held:
            site.set_finalizers(old.name, [])
        with pytest.raises(KubeError) as gone:
            await getattr(site.kube, change)(old)
        assert gone.value.gone
        site.create_pool(pool(site, finalizers=held))
        await conflicts(getattr(site.kube, change)(old))
        (new,) = await site.kube.pools(site.namespace, "c1")
        assert new.finalizers == tuple(held)
        site.set_finalizers(new.name, [])
        site.delete_pool(new.name)


async def conflicts(change: Awaitable[object]) -> None:
    """Somebody has changed the pool meanwhile, so nothing is changed now."""
    with pytest.raises(KubeError) as error:
        await change
    assert (error.value.status, error.value.gone) == (409, False)


async def test_a_pool_is_adopted_once_and_keeps_its_finalizers(site: Site) -> None:
    uid = site.create_cluster(cluster(site))
    site.create_pool(pool(site, finalizers=[names.FINALIZER]))
    (found,) = await site.kube.pools(site.namespace, "c1")
    assert found.owner_uid is None
    for _ in range(2):
        await site.kube.adopt(found, uid)
    (adopted,) = await site.kube.pools(site.namespace, "c1")
    assert adopted.owner_uid == uid
    assert adopted.finalized
    assert adopted.generation == found.generation


async def test_a_default_pool_is_made_once_and_belongs_to_its_cluster(site: Site) -> None:
    uid = site.create_cluster(cluster(site))
    for _ in range(2):
        await site.kube.create_pool(site.namespace, "default-c1", "c1", uid)
    (made,) = await site.kube.pools(site.namespace, "c1")
    assert (made.name, made.owner_uid, made.invalid) == ("default-c1", uid, None)
    assert (made.spec.scaling, made.spec.replicas) == ("Gateway", 0)
    assert not made.spec.template.manifest(), "the site's defaults apply"


async def test_a_default_pool_is_not_made_where_another_clusters_pool_has_its_name(site: Site) -> None:
    uid = site.create_cluster(cluster(site))
    site.create_pool(pool(site, name="default-c1", cluster="c2"))
    with pytest.raises(
        KubeError, match=f"^pool {site.namespace}/default-c1: it is of the cluster c2"
    ) as caught:
        await site.kube.create_pool(site.namespace, "default-c1", "c1", uid)
    assert caught.value.status == 409
    assert await site.kube.pools(site.namespace, "c1") == ()


async def test_a_status_comes_back_as_it_was_written(site: Site) -> None:
    site.create_pool(pool(site))
    (found,) = await site.kube.pools(site.namespace, "c1")
    await site.kube.publish(found, STATUS)
    (published,) = await site.kube.pools(site.namespace, "c1")
    assert published.status == STATUS
    smaller = STATUS.model_copy(update={"conditions": (), "idle": 0})
    await site.kube.publish(found, smaller)
    (published,) = await site.kube.pools(site.namespace, "c1")
    assert published.status == smaller


@pytest.mark.parametrize("text", [*WORST, "".join(WORST)], ids=range(len(WORST) + 1))
async def test_the_worst_texts_are_taken_and_come_back_as_they_were_made_harmless(
    site: Site, text: str
) -> None:
    site.create_pool(pool(site))
    (found,) = await site.kube.pools(site.namespace, "c1")
    time = "2026-01-01T00:00:00Z"
    wild = PoolStatus.model_construct(
        finished=2**70,
        explanation=(Explanation.model_construct(reason=text, message=text, count=-1),) * 9,
        recent_failures=tuple(
            Failure.model_construct(
                time=time,
                worker=text,
                machine=text,
                reason=text,
                message=text,
                exit_code=-(2**70),
                log_tail=text,
            )
            for _ in range(9)
        ),
        conditions=(
            Condition.model_construct(
                type="Ready", status="False", reason=text, message=text, last_transition_time=time
            ),
        ),
    )
    await site.kube.publish(found, wild)
    (published,) = await site.kube.pools(site.namespace, "c1")
    assert published.status == sanitize.status(wild)
    assert published.status.recent_failures, "it was read, and not forgotten as nonsense"
    await site.kube.post_event(found, "Warning", text, text)
    ((_, reason, message),) = site.events_of("default-c1")
    assert (reason, message) == (sanitize.reason(text), sanitize.event(text))


async def test_an_event_of_a_pool_with_a_long_name_is_taken(site: Site) -> None:
    name = "x" * 199 + ".y" + "z" * 50
    site.create_pool(pool(site, name=name))
    (found,) = await site.kube.pools(site.namespace, "c1")
    await site.kube.post_event(found, "Normal", "Scaled", "more")
    assert site.events_of(name) == [("Normal", "Scaled", "more")]


async def test_writing_to_a_pool_that_is_gone_says_so_and_makes_none(site: Site) -> None:
    site.create_pool(pool(site))
    (found,) = await site.kube.pools(site.namespace, "c1")
    site.delete_pool("default-c1")
    with pytest.raises(KubeError) as publishing:
        await site.kube.publish(found, STATUS)
    with pytest.raises(KubeError) as adopting:
        await site.kube.adopt(found, "11111111-2222-3333-4444-555555555555")
    assert publishing.value.gone
    assert adopting.value.gone
    assert await site.kube.pools(site.namespace, "c1") == ()


async def test_a_new_pool_of_the_same_name_does_not_get_the_old_ones_owner(site: Site) -> None:
    site.create_pool(pool(site))
    (old,) = await site.kube.pools(site.namespace, "c1")
    site.delete_pool("default-c1")
    site.create_pool(pool(site))
    with pytest.raises(KubeError) as adopting:
        await site.kube.adopt(old, "11111111-2222-3333-4444-555555555555")
    assert adopting.value.gone
    (new,) = await site.kube.pools(site.namespace, "c1")
    assert new.owner_uid is None


async def test_an_event_is_shown_with_its_pool_and_bounded(site: Site) -> None:
    site.create_pool(pool(site))
    (found,) = await site.kube.pools(site.namespace, "c1")
    await site.kube.post_event(found, "Warning", "WorkersFail", "“" + "x" * 3000)
    ((kind, reason, message),) = site.events_of("default-c1")
    assert (kind, reason) == ("Warning", "WorkersFail")
    assert 1000 < len(message.encode()) <= 1024


async def test_an_announcement_is_about_the_lease_and_among_the_events_of_its_namespace(site: Site) -> None:
    """Also before the Lease is there, and for who describes it once it is."""
    await site.kube.announce(site.namespace, "htcdask", "Warning", "CondorUnreachable", "x" * 3000)
    await site.kube.write_lease(site.namespace, "htcdask", LEASE)
    await site.kube.announce(site.namespace, "htcdask", "Normal", "SiteTroubleOver", "It is over.")
    found = sorted(site.events_of("htcdask"))
    assert [(kind, reason) for kind, reason, _ in found] == [
        ("Normal", "SiteTroubleOver"),
        ("Warning", "CondorUnreachable"),
    ]
    assert len(found[1][2].encode()) <= 1024
    assert "It is over." in site.described_lease("htcdask")


async def test_credentials_are_read_and_never_shown(site: Site) -> None:
    secret = Credentials("certificate-text", "key-text", "token-text")
    site.create_secret("dask-credentials-c1", secret)
    found = await site.kube.credentials(site.namespace, "dask-credentials-c1")
    assert found == secret
    assert "text" not in repr(found)


async def test_missing_credentials_are_an_error_that_names_the_secret(site: Site) -> None:
    with pytest.raises(KubeError, match="dask-credentials-c9"):
        await site.kube.credentials(site.namespace, "dask-credentials-c9")


async def test_an_offer_is_there_as_it_was_written_last(site: Site) -> None:
    for content in ("first", 'with "quotes",\nlines and 🦆'):
        data = {"holder": "a", "offer.json": content}
        await site.kube.write_offer(site.namespace, data)
        assert site.offer() == data


LEASE = Lease("a", 15, "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:00.000000Z", 0)


async def test_a_lease_comes_back_as_it_was_written(site: Site) -> None:
    assert await site.kube.lease(site.namespace, "htcdask") is None
    created = await site.kube.write_lease(site.namespace, "htcdask", LEASE)
    assert created == LEASE == await site.kube.lease(site.namespace, "htcdask")
    renewed = replace(created, renewed="2026-01-01T00:00:02.500000Z", transitions=1)
    written = await site.kube.write_lease(site.namespace, "htcdask", renewed)
    assert written == renewed
    assert written.version not in (None, created.version)
    released = await site.kube.write_lease(site.namespace, "htcdask", replace(written, holder=""))
    assert released.holder == ""
    assert await site.kube.lease(site.namespace, "htcdask") == released


async def test_of_two_who_write_a_lease_at_once_the_second_is_refused(site: Site) -> None:
    for lease in (LEASE, await site.kube.write_lease(site.namespace, "htcdask", LEASE)):
        if lease.version is not None:
            await site.kube.write_lease(site.namespace, "htcdask", replace(lease, holder="b"))
        with pytest.raises(KubeError) as refusal:
            await site.kube.write_lease(site.namespace, "htcdask", replace(lease, holder="c"))
        assert refusal.value.status == 409
    found = await site.kube.lease(site.namespace, "htcdask")
    assert found is not None
    assert found.holder == "b"


async def test_a_lease_that_was_deleted_is_not_made_again_by_renewing_it(site: Site) -> None:
    with pytest.raises(KubeError) as refusal:
        await site.kube.write_lease(site.namespace, "htcdask", replace(LEASE, version="1"))
    assert refusal.value.status == 404


# What workers printed

ODD_TEXT = '\x00\x1b[2J\u202e\u0085😀"\\\t\r\n'


LATER = timestamps.read("2026-01-01T02:00:00Z")


def said(name: str, minute: int, **fields: Any) -> WorkerLog:
    at = f"2026-01-01T00:{minute:02}:00Z"
    return WorkerLog(**{"name": name, "ended_at": at, "outcome": "WorkerFailed", "text": "words\n"} | fields)


def logged(site: Site, pool: str = "default-c1") -> list[str]:
    return [worker["name"] for worker in site.log(pool)["workers"]]


async def test_a_log_is_made_and_added_to_and_belongs_to_its_pool(site: Site) -> None:
    uid = site.create_pool(pool(site))
    (facts,) = await site.kube.pools(site.namespace, "c1")
    await site.kube.write_log(facts, [said("w1", 1, machine="node7", exit_code=3)], LATER)
    made = site.log("default-c1")
    assert made["metadata"]["ownerReferences"] == [manifest.pool_reference("default-c1", uid)]
    assert (made["apiVersion"], made["kind"]) == (names.API_VERSION, names.LOG_KIND)
    assert made["workers"] == [said("w1", 1, machine="node7", exit_code=3).manifest()]
    await site.kube.write_log(facts, [said("w3", 3), said("w2", 2)], LATER)
    assert logged(site) == ["w3", "w2", "w1"]
    assert site.log("default-c1")["metadata"]["uid"] == made["metadata"]["uid"]


async def test_a_log_stays_small_whatever_workers_print(site: Site) -> None:
    site.create_pool(pool(site))
    (facts,) = await site.kube.pools(site.namespace, "c1")
    text = ODD_TEXT * (MAX_TEXT // len(ODD_TEXT))
    await site.kube.write_log(
        facts, [said(f"w{number}", 40 - number, text=text) for number in range(10)], LATER
    )
    written = site.log("default-c1")["workers"]
    assert 0 < len(json.dumps(written, ensure_ascii=False).encode()) < MAX_BYTES * 1.01
    await site.kube.write_log(facts, [said(f"v{number}", 50 + number % 9) for number in range(30)], LATER)
    assert len(logged(site)) == MAX_WORKERS


async def test_what_somebody_else_wrote_into_a_log_does_no_harm(site: Site) -> None:
    site.create_pool(pool(site))
    (facts,) = await site.kube.pools(site.namespace, "c1")
    await site.kube.write_log(facts, [said("w1", 1)], LATER)
    site.spoil_log("default-c1", [said("theirs", 9, text="\x1b[2J").manifest(), said("w1", 1).manifest()])
    await site.kube.write_log(facts, [said("w2", 2)], LATER)
    assert logged(site) == ["theirs", "w2", "w1"]
    assert site.log("default-c1")["workers"][0]["text"] == "␛[2J"


async def test_a_time_in_the_future_that_somebody_wrote_into_a_log_becomes_one_of_now(site: Site) -> None:
    site.create_pool(pool(site))
    (facts,) = await site.kube.pools(site.namespace, "c1")
    await site.kube.write_log(facts, [said("w1", 1)], LATER)
    site.spoil_log("default-c1", [said("theirs", 9, ended_at="2999-01-01T00:00:00Z").manifest()])
    await site.kube.write_log(facts, [said("w2", 2)], LATER)
    assert site.log("default-c1")["workers"][0]["endedAt"] == "2026-01-01T02:00:00Z"


async def test_the_log_of_an_earlier_pool_of_that_name_is_left_alone(site: Site) -> None:
    """Kubernetes is about to delete it."""
    site.create_pool(pool(site, finalizers=[]))
    (old,) = await site.kube.pools(site.namespace, "c1")
    await site.kube.write_log(old, [said("w1", 1)], LATER)
    site.delete_pool(old.name)
    site.create_pool(pool(site))
    (new,) = await site.kube.pools(site.namespace, "c1")
    await conflicts(site.kube.write_log(new, [said("w2", 2)], LATER))
    assert logged(site) == ["w1"]


async def test_the_operators_models_read_what_it_wrote(site: Site) -> None:
    site.create_pool(pool(site))
    (facts,) = await site.kube.pools(site.namespace, "c1")
    first = said("w1", 1, text=ODD_TEXT)
    await site.kube.write_log(facts, [first], LATER)
    (read,) = WorkerLogs.model_validate(site.log("default-c1")).workers
    assert read == sanitize.worker_log(first)
