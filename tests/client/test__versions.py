"""Versions of a cluster are asked for in bounded time and number, and nobody's answer breaks the question."""

import asyncio
import time
from typing import Any

import pytest

from htcdaskgateway import _versions
from htcdaskgateway._versions import Versions, of_cluster
from htcdaskgateway._worker_pools.explanation import ClusterExplanation

WORKERS = {f"tls://10.0.0.1:{port}": {"name": f"w-{port}"} for port in range(1000)}


class Scheduler:
    """distributed's rpc, whose answers are these."""

    def __init__(self, own: Any, theirs: Any = None, workers: Any = WORKERS) -> None:
        self.own, self.theirs, self.workers, self.asked = own, theirs, workers, 0

    async def versions(self) -> Any:
        if isinstance(self.own, Exception):
            raise self.own
        if self.own is None:
            await asyncio.sleep(60)
        return self.own

    async def ncores(self) -> Any:
        return dict.fromkeys(self.workers, 1)

    async def broadcast(self, msg: Any, workers: list[str], on_error: str) -> Any:
        assert (msg, on_error) == ({"op": "versions"}, "ignore")
        self.asked = len(workers)
        return dict.fromkeys(workers, self.theirs) if isinstance(self.theirs, dict) else self.theirs


def packages(**changed: Any) -> dict[str, Any]:
    return {"host": {}, "packages": {**_versions.own(), **changed}}


async def test_of_many_workers_some_are_asked() -> None:
    scheduler = Scheduler(packages(), packages(msgpack="0.1"))
    found = await of_cluster(scheduler, WORKERS)
    assert scheduler.asked == 10
    here = _versions.own()["msgpack"]
    assert found == Versions(
        (f"msgpack is {here} here, 0.1 on worker w-0, 0.1 on worker w-100, 0.1 on worker w-200 and 7 more",),
        10,
    )


async def test_a_scheduler_without_workers_is_compared_alone() -> None:
    scheduler = Scheduler(packages(lz4="4.0"), workers={})
    found = await of_cluster(scheduler, WORKERS)
    assert (scheduler.asked, found.workers) == (0, 0)
    assert found.differ == (f"lz4 is {_versions.own()['lz4'] or 'not installed'} here, 4.0 on scheduler",)


@pytest.mark.parametrize("own", [None, OSError("closed"), ValueError("of another version")])
async def test_who_does_not_answer_keeps_nobody(own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_versions, "_SECONDS", 0.2)
    begun = time.monotonic()
    found = await of_cluster(Scheduler(own), WORKERS)
    assert found == Versions((), None)
    assert time.monotonic() - begun < 3
    assert "does not say now which versions" in str(ClusterExplanation("c", (), versions=found))
    assert ClusterExplanation("c", (), versions=found).to_dict()["versions"] == {
        "differ": [],
        "workers": None,
    }


@pytest.mark.parametrize("answer", [1, [], {}, {"packages": [1]}, {"packages": {}}, "text"])
async def test_an_answer_of_another_shape_says_nothing(answer: Any) -> None:
    assert (await of_cluster(Scheduler(answer, answer), WORKERS)).differ == ()
    assert await of_cluster(Scheduler(packages(), 1), {"a": 1, "b": None}) == Versions((), 0)


async def test_a_worker_that_the_cluster_object_has_not_heard_of_is_asked() -> None:
    found = await of_cluster(Scheduler(packages(), packages(dask="1"), {"tls://new:1": 1}), WORKERS)
    assert [said.endswith("1 on worker tls://new:1") for said in found.differ] == [True]


async def test_what_cannot_be_printed_is_not() -> None:
    found = await of_cluster(Scheduler(packages(dask="\x1b[2J" + "9" * 100), workers={}), {})
    assert found.differ[0].endswith(" here, ?[2J" + "9" * 36 + " on scheduler")


def test_html_has_no_markup_of_others() -> None:
    html = ClusterExplanation("c", (), versions=Versions(("dask is <b> here",), 1))._repr_html_()
    assert "dask is &lt;b&gt; here" in html
    assert "images of one build" in html
