"""kopf and the handlers on a real API server, with an access point in memory: what a pool lives through."""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import kopf
import pytest
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from htcdask_api import manifest, names
from htcdask_operator.assemble import assemble
from htcdask_operator.condor.errors import CondorUnreachable
from htcdask_operator.core.model import JobStatus, PoolFacts
from htcdask_operator.core.polling import PollIntervals
from htcdask_operator.kube.api import KubeApi
from htcdask_operator.ports import Ports
from htcdask_operator.watch import handlers
from htcdask_operator.watch.resync import Resync, WatchSilent
from htcdask_operator.watch.stateless import NO_FINALIZER
from playground.node.controlplane import ControlPlane
from tests.builders import make_policy
from tests.fakes.condor import FakeCondor, FakeSchedd
from tests.fakes.scheduler import FakeScheduler


class Watched(FakeCondor):
    """Tells when workers are submitted."""

    def __init__(self, schedd: FakeSchedd) -> None:
        super().__init__(schedd, "htcdask")
        self.submitted = asyncio.Event()

    async def submit_workers(
        self, description: Mapping[str, str], names: Sequence[str], identity: str | None = None
    ) -> tuple[str, ...]:
        self.submitted.set()
        return await super().submit_workers(description, names, identity)


class Operator:
    """The operator as `__main__` puts it together, but for HTCondor and the schedulers."""

    def __init__(self, plane: ControlPlane, kube: KubeApi) -> None:
        self.plane = plane
        self.kube = kube
        self.namespace = f"gateway-{uuid.uuid4().hex[:8]}"
        plane.kubectl("create", "namespace", self.namespace)
        self.schedd = FakeSchedd(now=time.time())
        self.condor = Watched(self.schedd)
        self.scheduler = FakeScheduler()
        self.ports = Ports(self.condor, kube, self.scheduler)
        intervals = PollIntervals(active_seconds=0.1)
        own = (self.namespace, "operator")
        parts = assemble(
            self.ports, make_policy(), (self.namespace,), time.time, lease=own, intervals=intervals
        )
        self.known, self.poller, self.registry = parts.known, parts.poller, parts.registry
        self.reconciler = parts.reconciler
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self.poller.tick()
        ready = asyncio.Event()
        self.tasks = [
            asyncio.create_task(self.poller.run()),
            asyncio.create_task(self.reconciler.run()),
            asyncio.create_task(
                kopf.operator(
                    registry=self.registry,
                    settings=handlers.settings("test"),
                    namespaces=[self.namespace],
                    ready_flag=ready,
                )
            ),
        ]
        await ready.wait()

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def kubectl(self, *arguments: str, body: dict[str, Any] | None = None) -> str:
        given = None if body is None else json.dumps(body)
        return self.plane.kubectl("--namespace", self.namespace, *arguments, input=given)

    def create(self, kind: str, version: str, name: str, **content: Any) -> None:
        body = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **content}
        self.kubectl("create", "-f", "-", body=body)

    def create_cluster(self, wanted: int = 0) -> None:
        parts = {"dask.crt": "CERT", "dask.pem": "KEY", "api-token": "TOKEN"}
        self.create("Secret", "v1", "dask-credentials-c1", stringData=parts)
        spec = {"username": "alice", "options": {"worker_backend": "htcondor"}, "htcondorReplicas": wanted}
        self.create(names.DASKCLUSTER_KIND, names.GATEWAY_API_VERSION, "c1", spec=spec)
        status = {"status": {"phase": "Running", "credentials": "dask-credentials-c1"}}
        self.patch_cluster(status, "--subresource=status")

    def patch_cluster(self, patch: dict[str, Any], *options: str) -> None:
        self.kubectl("patch", "daskcluster", "c1", "--type=merge", f"--patch={json.dumps(patch)}", *options)

    def create_pool(self, name: str = "default-c1", **spec: Any) -> None:
        spec = {"template": {"containerImage": "/cvmfs/image"}, **spec}
        self.kubectl("create", "-f", "-", body=manifest.pool(self.namespace, name, "c1", **spec))

    async def pool(self) -> PoolFacts | None:
        found = await self.kube.pools(self.namespace, "c1")
        return found[0] if found else None

    async def until(self, holds: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
        """Let the access point's time pass until something holds."""
        async with asyncio.timeout(seconds):
            while not await holds():
                self.schedd.tick(0.1)
                running = [e.job for e in self.schedd.queue.values() if e.job.status is JobStatus.RUNNING]
                self.scheduler.connected[self.namespace, "c1"] = {job.worker for job in running}
                await asyncio.sleep(0.05)

    async def until_condition(self, type_: str, status: str) -> None:
        async def holds() -> bool:
            pool = await self.pool()
            condition = pool.status.condition(type_) if pool is not None else None
            return condition is not None and condition.status == status

        await self.until(holds)

    async def until_gone(self) -> None:
        async def holds() -> bool:
            return await self.pool() is None

        await self.until(holds)


@contextlib.asynccontextmanager
async def running(plane: ControlPlane) -> AsyncIterator[Operator]:
    """Not a fixture: when kopf ends, it cancels every task that is younger than itself."""
    configuration = Configuration()
    await config.load_kube_config(str(plane.kubeconfig), client_configuration=configuration)
    kube = KubeApi(ApiClient(configuration), "test")
    operator = Operator(plane, kube)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(plane.kubeconfig))  # where kopf's login looks
        await operator.start()
        try:
            yield operator
        finally:
            await operator.stop()
            await kube.close()


async def test_from_a_new_pool_to_connected_workers_and_back(plane: ControlPlane) -> None:
    async with running(plane) as operator:
        operator.create_pool()
        await operator.until_condition("ClusterActive", "False")
        operator.create_cluster()
        await operator.until_condition("Ready", "True")
        pool = await operator.pool()
        assert pool is not None
        assert pool.finalized
        assert pool.owner_uid is not None

        operator.patch_cluster({"spec": {"htcondorReplicas": 3}})

        async def all_are_connected() -> bool:
            pool = await operator.pool()
            return pool is not None and pool.status.connected == 3

        await operator.until(all_are_connected)
        operator.kubectl("delete", "htcworkerpool", "default-c1", "--wait=false")
        await operator.until_gone()
        assert operator.schedd.queue == {}


async def test_scaling_reaches_the_access_point_at_once(plane: ControlPlane) -> None:
    async with running(plane) as operator:
        operator.create_pool()
        operator.create_cluster()
        await operator.until_condition("Ready", "True")
        body = {"spec": {"htcondorReplicas": 2}}
        await asyncio.to_thread(operator.patch_cluster, body)
        began = time.monotonic()
        async with asyncio.timeout(5):
            await operator.condor.submitted.wait()
        assert time.monotonic() - began < 1.0


async def test_our_own_status_writes_wake_nobody(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(plane) as operator:
        operator.create_pool()
        operator.create_cluster()
        await operator.until_condition("Ready", "True")
        await operator.poller.tick()
        woken = asyncio.Queue[object]()
        monkeypatch.setattr(operator.reconciler, "wake", woken.put_nowait)
        pool = await operator.pool()
        assert pool is not None
        await operator.kube.publish(pool, pool.status.model_copy(update={"finished": 7}))
        operator.patch_cluster({"metadata": {"annotations": {"a": "b"}}})
        operator.patch_cluster({"spec": {"htcondorReplicas": 1}})
        async with asyncio.timeout(5):
            await woken.get()  # of the last patch: the events before it came before it
        assert woken.empty()


async def test_a_pool_whose_jobs_cannot_be_removed_stays_until_it_is_released_by_hand(
    plane: ControlPlane,
) -> None:
    async with running(plane) as operator:
        operator.create_pool()
        operator.create_cluster()
        await operator.until_condition("Ready", "True")
        operator.condor.failing = CondorUnreachable("no route to the schedd")
        operator.kubectl("delete", "htcworkerpool", "default-c1", "--wait=false")
        await operator.until_condition("Stalled", "True")
        operator.kubectl("annotate", "htcworkerpool", "default-c1", f"{names.RELEASE_ANNOTATION}=true")
        await operator.until_gone()
        assert operator.schedd.queue


async def test_the_end_of_the_cluster_ends_the_jobs(plane: ControlPlane) -> None:
    async with running(plane) as operator:
        operator.create_pool()
        operator.create_cluster(wanted=2)

        async def connected() -> bool:
            pool = await operator.pool()
            return pool is not None and pool.status.connected == 2

        await operator.until(connected)
        operator.patch_cluster({"spec": {"active": False}})

        async def nothing_is_left() -> bool:
            return not operator.schedd.queue

        await operator.until(nothing_is_left)
        operator.kubectl("delete", "htcworkerpool", "default-c1", "--wait=false")
        await operator.until_gone()


async def test_a_manual_pool_follows_kubectl_scale_once_the_scheduler_knows(plane: ControlPlane) -> None:
    async with running(plane) as operator:
        operator.create_pool("manual-c1", scaling="Manual")
        operator.create_cluster()
        await operator.until_condition("Ready", "True")
        operator.kubectl("scale", "htcworkerpool", "manual-c1", "--replicas=2")

        async def scheduler_was_told() -> bool:
            return operator.scheduler.told == [(operator.namespace, "c1", 2)]

        await operator.until(scheduler_was_told)
        assert all(entry.job.worker == "" for entry in operator.schedd.queue.values()), "not before it knows"
        operator.patch_cluster({"spec": {"htcondorReplicas": 2}})  # its next heartbeat

        async def both_are_connected() -> bool:
            pool = await operator.pool()
            return pool is not None and pool.status.connected == 2

        await operator.until(both_are_connected)
        events = operator.kubectl("get", "events", "--field-selector=reason=SchedulerTold", "-o", "json")
        (event,) = json.loads(events)["items"]
        assert "ends adapt()" in event["message"]


async def test_a_cluster_that_asks_for_workers_gets_a_pool_and_a_deleted_one_does_not_come_back(
    plane: ControlPlane,
) -> None:
    async with running(plane) as operator:
        operator.create_cluster()
        operator.patch_cluster({"spec": {"htcondorReplicas": 1}})

        async def it_has_a_pool() -> bool:
            pool = await operator.pool()
            return pool is not None and pool.name == "default-c1"

        await operator.until(it_has_a_pool)
        await operator.until_condition("Stalled", "True")  # this site has no default image
        operator.kubectl("delete", "htcworkerpool", "default-c1", "--wait=false")
        await operator.until_gone()
        operator.patch_cluster({"spec": {"htcondorReplicas": 2}})
        operator.create_pool("mine-c1")  # a later change, and its answer

        async def mine_has_workers() -> bool:
            pools = await operator.kube.pools(operator.namespace)
            return [pool.name for pool in pools] == ["mine-c1"] and pools[0].status.connected == 2

        await operator.until(mine_has_workers)


async def test_a_listing_finds_nothing_that_a_living_watch_has_not_shown(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(plane) as operator:
        operator.create_pool()
        operator.create_cluster(wanted=2)
        await operator.until_condition("Ready", "True")
        resync = Resync(operator.ports, operator.known, (operator.namespace,), operator.reconciler)
        woken: list[object] = []
        monkeypatch.setattr(operator.reconciler, "wake", woken.append)
        for _ in range(3):
            await resync.tick()
        assert woken == []


async def test_a_watch_that_has_died_is_noticed(plane: ControlPlane) -> None:
    async with running(plane) as operator:
        resync = Resync(operator.ports, operator.known, (operator.namespace,), operator.reconciler)
        await resync.tick()
        watching = operator.tasks.pop()
        watching.cancel()
        await asyncio.wait({watching})  # a request that is under way would still show the pool
        operator.create_pool()
        await resync.tick()

        async def it_is_finalized() -> bool:  # as a listing has shown it to its cluster, whoever watches
            pool = await operator.pool()
            return pool is not None and pool.finalized

        await operator.until(it_is_finalized)
        with pytest.raises(WatchSilent, match="no HTCWorkerPool"):
            await resync.tick()


UNREADABLE = f"{names.GROUP}/last-handled-configuration={{"  # an earlier version's, that kopf would read
EMOJI = dict.fromkeys("AB", "\N{GRINNING FACE}" * 16_383)  # as ASCII 393 kB: more than annotations may have


async def annotated(operator: Operator) -> None:
    operator.create_pool("odd-c1", scaling="Manual", replicas=1)
    operator.kubectl("annotate", "htcworkerpool", "odd-c1", UNREADABLE)


async def annotated_before_the_start(operator: Operator) -> None:
    await operator.stop()
    await annotated(operator)
    await operator.start()


async def very_large(operator: Operator) -> None:
    template = {"containerImage": "/cvmfs/image", "environment": EMOJI}
    operator.create_pool("odd-c1", scaling="Manual", replicas=1, template=template)


@pytest.mark.parametrize("arrange", [annotated, annotated_before_the_start, very_large])
async def test_a_pool_that_kopf_could_not_remember_lives_and_ends_as_its_siblings_do(
    plane: ControlPlane,
    arrange: Callable[[Operator], Awaitable[None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(plane) as operator:
        operator.create_cluster(wanted=3)
        operator.create_pool()
        await arrange(operator)

        async def both_have_workers() -> bool:
            pools = await operator.kube.pools(operator.namespace)
            return {pool.name: pool.status.connected for pool in pools} == {"default-c1": 2, "odd-c1": 1}

        await operator.until(both_have_workers)
        resync = Resync(operator.ports, operator.known, (operator.namespace,), operator.reconciler)
        for _ in range(3):
            await resync.tick()
        operator.kubectl("annotate", "htcworkerpool", "odd-c1", UNREADABLE, "--overwrite")
        operator.kubectl("delete", "htcworkerpool", "odd-c1", "--wait=false")

        async def one_is_left() -> bool:
            return [pool.name for pool in await operator.kube.pools(operator.namespace)] == ["default-c1"]

        await operator.until(one_is_left)
        assert all(not task.done() for task in operator.tasks)
    # kopf tells there what it makes of single objects.
    assert [record for record in caplog.records if record.name == "kopf.objects"] == []


async def test_a_pool_with_an_unreadable_annotation_is_released_by_hand(plane: ControlPlane) -> None:
    async with running(plane) as operator:
        operator.create_cluster(wanted=1)
        operator.create_pool()
        await operator.until_condition("Ready", "True")
        operator.kubectl("annotate", "htcworkerpool", "default-c1", UNREADABLE)
        operator.condor.failing = CondorUnreachable("no route to the schedd")
        operator.kubectl("delete", "htcworkerpool", "default-c1", "--wait=false")
        await operator.until_condition("Stalled", "True")
        operator.kubectl("annotate", "htcworkerpool", "default-c1", f"{names.RELEASE_ANNOTATION}=true")
        await operator.until_gone()
        assert operator.schedd.queue


async def test_a_pool_that_somebody_else_keeps_says_so(plane: ControlPlane) -> None:
    async with running(plane) as operator:
        operator.create_cluster(wanted=1)
        operator.create_pool()
        theirs = json.dumps({"metadata": {"finalizers": ["example.org/audit"]}})
        operator.kubectl("patch", "htcworkerpool", "default-c1", "--type=merge", f"--patch={theirs}")
        await operator.until_condition("Ready", "True")
        operator.kubectl("delete", "htcworkerpool", "default-c1", "--wait=false")

        async def it_says_who_keeps_it() -> bool:
            pool = await operator.pool()
            assert pool is not None
            ready = pool.status.condition("Ready")
            return not pool.finalized and ready is not None and "example.org/audit" in ready.message

        await operator.until(it_says_who_keeps_it)
        await operator.until_condition("Stalled", "False")
        operator.kubectl(
            "patch",
            "htcworkerpool",
            "default-c1",
            "--type=merge",
            '--patch={"metadata": {"finalizers": null}}',
        )
        await operator.until_gone()


def test_no_object_can_have_the_finalizer_that_kopf_would_take_away(plane: ControlPlane) -> None:
    body = manifest.pool("default", "p", "c1", template={"containerImage": "/cvmfs/image"})
    body["metadata"]["finalizers"] = [NO_FINALIZER]
    refusal = plane.kubectl("create", "-f", "-", input=json.dumps(body), check=False)
    assert "metadata.finalizers: Invalid value" in refusal


async def test_kopf_writes_nothing_into_pools_and_clusters(plane: ControlPlane) -> None:
    async with running(plane) as operator:
        operator.create_cluster(wanted=1)
        operator.create_pool()
        await operator.until_condition("Ready", "True")
        shown = json.loads(operator.kubectl("get", "htcworkerpools,daskclusters", "-o", "json"))
        for body in shown["items"]:
            assert "annotations" not in body["metadata"], body["metadata"]["annotations"]
            managers = {entry["manager"] for entry in body["metadata"].get("managedFields", ())}
            assert "kopf" not in managers
