"""Templates that merge: the pool's, its profile's, the cluster's and the site's."""

from __future__ import annotations

from typing import Any

import pytest

from htcdask_api import Template
from htcdask_operator.core.policy import Profile
from htcdask_operator.core.submit import template
from tests.builders import make_cluster, make_policy, make_pool, make_template


def test_the_nearest_template_wins() -> None:
    policy = make_policy(
        default_template=Template(cores=8, memory="8Gi", disk="9Gi", container_image="/site", threads=2),
        profiles={
            "big": Profile("big", Template(memory="64Gi", environment={"A": "profile", "B": "profile"}))
        },
    )
    pool = make_pool(template=Template(profile="big", threads=1, environment={"A": "pool"}))
    cluster = make_cluster(config={"worker_cores": 2.0, "worker_memory": 3 * 2**30, "image": "org/image:1"})
    found = template.resolve(pool, cluster, policy)
    assert (found.threads, found.environment) == (1, {"A": "pool", "B": "profile"})
    assert (found.memory, found.cores, found.disk, found.container_image) == ("64Gi", 2, "9Gi", "/site")


@pytest.mark.parametrize(
    ("config", "chosen"),
    [
        ({"worker_cores": 1.0, "worker_memory": 2 * 2**30}, {}),  # dask-gateway's own: nobody chose
        ({"worker_cores": 2.5, "worker_memory": 4e9}, {"cores": 3, "memory": "4000000000"}),
        ({"worker_cores": "many", "worker_memory": float("inf")}, {}),
        ({"worker_cores": 0, "worker_memory": -1}, {}),
        ({"worker_cores": True, "worker_memory": None}, {}),
        ({"image": "org/image"}, {"container_image": "/cvmfs/registry.hub.docker.com/org/image:latest"}),
        ({"image": "ghcr.io/org/image:1"}, {"container_image": "/cvmfs/ghcr.io/org/image:1"}),
        ({"image": "../etc"}, {}),
    ],
)
def test_what_the_cluster_s_options_say_about_workers(
    config: dict[str, object], chosen: dict[str, Any]
) -> None:
    assert template.of_cluster(config, "/cvmfs/{registry}/{name}") == Template(**chosen)


def test_a_whole_that_breaks_a_rule_that_its_parts_keep_is_an_invalid_pool() -> None:
    long = {f"A{number}": "x" * 16000 for number in range(2)}
    policy = make_policy(default_template=Template(environment={"B": "y" * 16000}))
    with pytest.raises(
        ValueError, match=r"^spec\.template\.environment: must not exceed 32768 characters"
    ) as broken:
        template.resolve(make_pool(template=make_template(environment=long)), None, policy)
    assert "xxx" not in str(broken.value)


@pytest.mark.parametrize(("asked", "gets"), [(None, 7000), (600, 600), (8000, 8000)])
def test_a_worker_runs_for_as_long_as_the_site_allows_where_nobody_says(asked: int | None, gets: int) -> None:
    policy = make_policy(max_runtime_seconds=7000)
    pool = make_pool(template=make_template(max_runtime_seconds=asked))
    # What is too long is refused by a check.
    assert template.resolve(pool, None, policy).max_runtime_seconds == gets
    assert template.resolve(pool, None, make_policy()).max_runtime_seconds == asked
