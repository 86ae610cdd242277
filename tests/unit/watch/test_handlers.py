"""Events become wake-ups, each alone; and kopf reads nothing from an object, and writes nothing into it."""

import asyncio
import copy
import logging
from collections.abc import Mapping
from typing import Any

import kopf
import pytest
from kopf._cogs.clients import patching
from kopf._cogs.structs import ephemera, references
from kopf._core.actions import lifecycles
from kopf._core.engines import indexing
from kopf._core.reactor import inventory, processing

from htcdask_api import names
from htcdask_operator.kube import pools
from htcdask_operator.ports import ClusterKey
from htcdask_operator.watch import handlers
from htcdask_operator.watch.stateless import NO_FINALIZER
from tests.unit.site import KEY, Site, cluster_manifest, pool_manifest

METADATA = {"name": "default-c1", "namespace": "gateway", "uid": "u1", "resourceVersion": "1"}


class Kopf:
    """kopf's own processing of an event, and all that it would write."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.site = site
        self.woken: list[ClusterKey] = []
        self.written: list[Any] = []
        monkeypatch.setattr(site.reconciler, "wake", self.woken.append)
        monkeypatch.setattr(patching, "patch_obj", self._write)
        self.registry = kopf.OperatorRegistry()
        handlers.register(self.registry, site.reconciler, site.known)
        self._memories = inventory.ResourceMemories()

    async def _write(self, **written: Any) -> tuple[None, None]:
        self.written.append(written)
        return None, None

    async def event(
        self, kind: str | None, body: Mapping[str, Any], group: str = names.GROUP, plural: str = names.PLURAL
    ) -> None:
        await processing.process_resource_event(
            lifecycle=lifecycles.all_at_once,
            indexers=indexing.OperatorIndexers(),
            registry=self.registry,
            settings=handlers.settings("test"),
            memories=self._memories,
            memobase=ephemera.AnyMemo(ephemera.Memo()),
            resource=references.Resource(group, names.VERSION, plural, namespaced=True),
            raw_event={"type": kind, "object": copy.deepcopy(body)},  # type: ignore[typeddict-item]
            event_queue=asyncio.Queue(),
            no_throttling=True,  # what raises, raises here
        )


@pytest.fixture
def kopfs(monkeypatch: pytest.MonkeyPatch) -> Kopf:
    return Kopf(Site(), monkeypatch)


def body(**metadata: Any) -> dict[str, Any]:
    made = pool_manifest()
    made["metadata"] |= METADATA | metadata
    return made


def with_annotation(key: str, value: str) -> dict[str, Any]:
    return body(annotations={key: value})


def with_spec(spec: object) -> dict[str, Any]:
    return {**body(), "spec": spec}


EMOJI = "\N{GRINNING FACE}" * 32_768
ODD = {
    "an annotation of an earlier version": with_annotation("htcdask.org/last-handled-configuration", "{"),
    "progress of an earlier version": with_annotation("htcdask.org/pool_deleted", "]"),
    "kopf's own annotation": with_annotation("kopf.zalando.org/last-handled-configuration", "{"),
    "a mark of kopf's": with_annotation("htcdask.org/kopf-managed", "yes"),
    "a dummy touch": with_annotation("htcdask.org/touch-dummy", "x"),
    "annotations that are a list": body(annotations=["a"]),
    "labels that are a list": body(labels=[{}]),
    "absurd labels": body(labels={"x" * 9999: None}),
    "finalizers that are a map": body(finalizers={"a": 1}),
    "being deleted": body(deletionTimestamp="2026-01-01T00:00:00Z"),
    "a deletion that is a number": body(deletionTimestamp=1),
    "owners that are a text": body(ownerReferences="me"),
    "a spec that is a list": with_spec([]),
    "a spec that is null": with_spec(None),
    "a cluster that is a list": with_spec({"clusterRef": []}),
    "an environment of emoji": with_spec(
        {"clusterRef": {"name": "c1"}, "template": {"environment": {"A": EMOJI}}}
    ),
    "a status that is a list": {**body(), "status": []},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("kind", [None, "ADDED", "MODIFIED", "DELETED"])
async def test_no_object_makes_kopf_fail_or_write(
    kopfs: Kopf, odd: dict[str, Any], kind: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    await kopfs.event(kind, odd)
    assert kopfs.woken == [ClusterKey("gateway", pools.cluster_name(odd))]
    assert kopfs.written == []
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def test_there_are_handlers_of_events_and_no_others(kopfs: Kopf) -> None:
    known = kopfs.registry
    assert {str(handler.id) for handler in known._watching.get_all_handlers()} == {
        "pool_seen",
        "cluster_seen",
    }
    for others in (known._changing, known._spawning, known._indexing, known._webhooks):
        assert list(others.get_all_handlers()) == []


def test_kopfs_finalizer_is_one_that_no_object_can_have() -> None:
    assert handlers.settings("test").persistence.finalizer == NO_FINALIZER
    assert " " in NO_FINALIZER, "the API server takes qualified names only"


async def test_a_cluster_of_any_shape_is_seen_and_not_written(kopfs: Kopf) -> None:
    odd_parts: list[dict[str, Any]] = [
        {"spec": []},
        {"spec": {"config": [], "options": "x", "username": {}}},
        {"status": [1]},
    ]
    for content in odd_parts:
        odd = {"metadata": METADATA, **content}
        await kopfs.event("MODIFIED", odd, names.GATEWAY_GROUP, names.DASKCLUSTER_PLURAL)
    assert kopfs.written == []
    assert kopfs.site.known.clusters.events[names.DASKCLUSTER_KIND] == 3
    assert list(kopfs.site.known.clusters.watched_clusters) == [ClusterKey("gateway", "default-c1")]


async def test_the_least_that_a_scheduler_asked_for_is_known_until_it_is_looked_at(kopfs: Kopf) -> None:
    """It may have stood for a moment only, between two looks."""
    for wanted in (2, 0, 2):
        body = cluster_manifest(wanted=wanted)
        await kopfs.event("MODIFIED", body, names.GATEWAY_GROUP, names.DASKCLUSTER_PLURAL)
    assert kopfs.site.known.clusters.least == {KEY: 0}
    await kopfs.event("DELETED", body, names.GATEWAY_GROUP, names.DASKCLUSTER_PLURAL)
    assert kopfs.site.known.clusters.least == {}


async def test_an_event_that_cannot_be_used_is_told_once_and_is_a_sign_of_life(
    kopfs: Kopf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: object) -> None:
        raise ValueError("sesame")

    with monkeypatch.context() as patch:
        patch.setattr(pools, "facts", fails)
        for _ in range(3):
            await kopfs.event("MODIFIED", body())
    assert caplog.text.count("HTCWorkerPool gateway/default-c1: the event is not used") == 1
    assert "sesame" not in caplog.text
    assert kopfs.site.known.clusters.events[names.KIND] == 3
    await kopfs.event("MODIFIED", body())
    assert kopfs.woken == [KEY]


async def test_what_changes_nothing_wakes_nobody(kopfs: Kopf) -> None:
    await kopfs.event(None, body())
    await kopfs.event("MODIFIED", body(resourceVersion="2", annotations={"a": "b"}))
    await kopfs.event("MODIFIED", {**body(), "status": {"idle": 3}})
    assert kopfs.woken == [KEY]
    await kopfs.event("DELETED", body())
    assert kopfs.woken == [KEY, KEY]
    assert kopfs.site.known.clusters.pools == {}
