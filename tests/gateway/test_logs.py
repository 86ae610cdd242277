"""The route of what a pool's workers printed: the owner reads it, and nobody else."""

import json
from typing import Any

import pytest

from htcdask_api import manifest, names
from htcdask_api.worker_log import MAX_TEXT, MAX_WORKERS
from tests.gateway.servers import Site
from tests.gateway.test_pools import made, pools, stored

WORKERS: list[dict[str, Any]] = [
    {
        "name": "w2",
        "machine": "node7",
        "endedAt": "2026-01-01T00:01:00Z",
        "outcome": "WorkerFailed",
        "exitCode": 3,
        "text": "two\nlines \u2028 \n",
    },
    {"name": "w1", "endedAt": "2026-01-01T00:00:00Z", "outcome": "Finished"},
]


def logs(cluster: str, worker: str = "", pool: str = "default") -> str:
    return f"{pools(cluster, pool)}/logs" + (f"?worker={worker}" if worker else "")


def write(site: Site, cluster: str, workers: list[Any], uid: str | None = None) -> None:
    """As the operator does."""
    pool = stored(site, cluster)["metadata"]
    owner = manifest.pool_reference(pool["name"], uid or pool["uid"])
    metadata = {"name": pool["name"], "namespace": pool["namespace"], "ownerReferences": [owner]}
    log = {"apiVersion": names.API_VERSION, "kind": names.LOG_KIND, "metadata": metadata}
    site.kubectl("apply", "-f", "-", input=json.dumps({**log, "workers": workers}))


@pytest.fixture(scope="module")
def written(site: Site) -> str:
    """A cluster of ada's, of which two workers have ended."""
    cluster = made(site)
    write(site, cluster, WORKERS)
    return cluster


def test_the_owner_reads_all_of_them_or_one(site: Site, written: str) -> None:
    assert site.api("ada", "GET", logs(written)) == (200, {"workers": WORKERS})
    assert site.api("ada", "GET", logs(written, "w1")) == (200, {"workers": WORKERS[1:]})


def test_where_nothing_was_written_there_is_nothing(site: Site) -> None:
    assert site.api("ada", "GET", logs(made(site))) == (200, {"workers": []})


def test_a_worker_that_is_not_there_is_said_with_those_that_are(site: Site, written: str) -> None:
    status, answer = site.api("ada", "GET", logs(written, "w%0a3"))
    assert status == 404
    said = (
        "Nothing is kept of what worker 'w\\n3' printed; there is: w2, w1. Of workers that end by themselves"
    )
    assert answer["error"].startswith(said)


def test_a_stranger_is_told_that_there_is_no_such_cluster(site: Site, written: str) -> None:
    for path in (logs(written), logs(written, "w1")):
        assert site.api("eve", "GET", path) == (404, {"error": f"Cluster {written} not found"})
    assert site.api(None, "GET", logs(written))[0] == 401
    assert site.api(None, "GET", logs(written), token=site.token(written))[0] == 401


def test_a_pool_of_another_cluster_shows_nothing_in_this_one(site: Site, written: str) -> None:
    mine = site.cluster("eve")
    for pool in ("default", f"default-{written.partition('.')[2]}"):
        status, answer = site.api("eve", "GET", logs(mine, pool=pool))
        assert (status, answer["error"]) == (404, f"Cluster {mine} has no pool {pool!r}; its pools: []")


def test_what_an_earlier_pool_of_that_name_left_is_not_shown(site: Site) -> None:
    cluster = made(site)
    write(site, cluster, WORKERS, uid="an-earlier-one")
    assert site.api("ada", "GET", logs(cluster)) == (200, {"workers": []})


def test_nobody_writes_or_deletes_by_this_route(site: Site, written: str) -> None:
    """A pool least of all."""
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert site.api("ada", method, logs(written), {})[0] == 405
    assert stored(site, written)["metadata"]["name"].startswith("default-")
    assert site.api("ada", "GET", logs(written)) == (200, {"workers": WORKERS})


def test_the_largest_log_passes(site: Site) -> None:
    cluster = made(site)
    largest = [{**WORKERS[0], "name": f"w{number}", "text": "x" * MAX_TEXT} for number in range(MAX_WORKERS)]
    write(site, cluster, largest)
    assert site.api("ada", "GET", logs(cluster)) == (200, {"workers": largest})
