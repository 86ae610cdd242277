"""A DaskCluster's body, as dask-gateway writes it and as a user could have forged it."""

from typing import Any

import pytest

from htcdask_api import names
from htcdask_operator.kube.clusters import facts

BODY: dict[str, Any] = {
    "metadata": {"namespace": "gateway", "name": "a29b", "uid": "u1"},
    "spec": {
        "username": "alice",
        "options": {"worker_backend": "htcondor", "image": "org/image:tag"},
        "config": {
            "image": "org/image:tag",
            "worker_cores": 2.0,
            "worker_memory": 4294967296,
            "cluster_max_workers": None,
            "environment": {"SECRET": "do not carry this around"},
        },
        "htcondorReplicas": 4,
    },
    "status": {"phase": "Running", "credentials": "dask-credentials-a29b"},
}


def body(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **metadata: Any) -> Any:
    return {
        "metadata": {**BODY["metadata"], **metadata},
        "spec": {**BODY["spec"], **(spec or {})},
        "status": {**BODY["status"], **(status or {})},
    }


def test_a_running_cluster() -> None:
    cluster = facts(BODY)
    assert (cluster.namespace, cluster.name, cluster.uid) == ("gateway", "a29b", "u1")
    assert cluster.active
    assert cluster.running
    assert cluster.htcondor
    assert (cluster.replicas, cluster.username) == (4, "alice")
    assert cluster.credentials_secret == "dask-credentials-a29b"
    assert cluster.config == {"image": "org/image:tag", "worker_cores": 2.0, "worker_memory": 4294967296}


def test_the_gateway_s_mark_says_that_a_pool_was_made() -> None:
    assert not facts(BODY).pool_made
    assert facts(body(annotations={names.POOL_MADE_ANNOTATION: "true"})).pool_made
    assert not facts(body(annotations={names.POOL_MADE_ANNOTATION: "false"})).pool_made
    assert not facts(body(annotations=["odd"])).pool_made


def test_a_cluster_of_which_the_controller_has_said_nothing_is_pending() -> None:
    cluster = facts({"metadata": BODY["metadata"], "spec": BODY["spec"]})
    assert (cluster.phase, cluster.active, cluster.running) == ("Pending", True, False)
    assert cluster.credentials_secret is None


@pytest.mark.parametrize(
    "ended",
    [
        body(spec={"active": False}),
        body(status={"phase": "Stopped"}),
        body(status={"phase": "Failed"}),
        body(deletionTimestamp="2026-01-01T00:00:00Z"),
    ],
)
def test_a_cluster_that_ends_is_neither_active_nor_running(ended: Any) -> None:
    cluster = facts(ended)
    assert not cluster.active
    assert not cluster.running


@pytest.mark.parametrize("forged", [-3, "x", "4", 1.5, True, None, [4], {"count": 4}, float("inf")])
def test_a_number_of_workers_that_is_none_counts_as_zero(forged: object) -> None:
    assert facts(body(spec={"htcondorReplicas": forged})).replicas == 0


@pytest.mark.parametrize(
    ("written", "groups"),
    [
        (["atlas", "dune"], {"atlas", "dune"}),
        (["atlas", "x" * 257], {"atlas"}),
        ([f"g{number}" for number in range(300)], {f"g{number}" for number in range(256)}),
        *((odd, set()) for odd in (None, "dune", {"dune": 1}, ["dune", 1], [["dune"]], [None], 4, True)),
    ],
)
def test_the_groups_of_its_user_are_strings_and_not_too_many(written: object, groups: set[str]) -> None:
    assert facts(body(spec={"htcondorGroups": written})).groups == groups


def test_a_cluster_of_an_older_gateway_has_no_groups() -> None:
    assert facts(BODY).groups == frozenset()


@pytest.mark.parametrize("replicas", [3, 0, None])
def test_what_its_user_asked_for_last_is_read(replicas: int | None) -> None:
    word = {"replicas": replicas, "at": "noon", "wanted": 4}
    for its in (word, {key: value for key, value in word.items() if value is not None}):
        cluster = facts(body(spec={"htcondorReplicas": 4, "htcondorAsked": its}))
        assert (cluster.asked, cluster.word) == (replicas, "noon")


def test_a_word_is_heard_before_there_is_a_number() -> None:
    """adapt() of a cluster without work."""
    its = {key: value for key, value in body()["spec"].items() if key != "htcondorReplicas"}
    cluster = facts(body() | {"spec": its | {"htcondorAsked": {"at": "noon"}}})
    assert (cluster.replicas, cluster.asked, cluster.word) == (0, None, "noon")


@pytest.mark.parametrize(
    "forged",
    [
        *(None, 3, "x", [], {}, {"replicas": 3, "at": "noon"}),
        *({"wanted": 4, **its} for its in ({}, {"replicas": 3}, {"replicas": 3, "at": ""})),
        *({"wanted": 4, "replicas": 3, "at": at} for at in (5, "x" * 65, None)),
        *({"wanted": 4, "replicas": replicas, "at": "noon"} for replicas in (-1, True, "3", 1.5)),
        *({"wanted": wanted, "replicas": 3, "at": "noon"} for wanted in (5, "4", 4.0, True, None)),
    ],
)
def test_what_the_gateway_would_not_have_written_tells_nothing(forged: object) -> None:
    cluster = facts(body(spec={"htcondorReplicas": 4, "htcondorAsked": forged}))
    assert (cluster.asked, cluster.word) == (None, "")


def test_a_huge_number_is_a_number() -> None:
    assert facts(body(spec={"htcondorReplicas": 10**12})).replicas == 10**12


@pytest.mark.parametrize("options", [None, {}, {"worker_backend": "kubernetes"}, "htcondor"])
def test_a_cluster_that_does_not_ask_for_htcondor_is_not_ours(options: object) -> None:
    assert not facts(body(spec={"options": options})).htcondor


@pytest.mark.parametrize("nonsense", [{}, {"spec": None, "status": "x"}, {"metadata": []}])
def test_any_body_is_read(nonsense: Any) -> None:
    cluster = facts(nonsense)
    assert (cluster.replicas, cluster.running, cluster.htcondor) == (0, False, False)
