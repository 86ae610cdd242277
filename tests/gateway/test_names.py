"""The extension runs where htcdask_api is not installed and repeats its names: they must be the same."""

import pytest

import htcdask_gateway
import htcdask_groups
import htcdask_heartbeats
import htcdask_logs
import htcdask_mark
import htcdask_offer
import htcdask_options
from htcdask_api import WorkerLog, names
from htcdask_api.worker_log import MAX_WORKERS
from htcdask_operator.process import offer


@pytest.mark.parametrize(
    "name",
    [
        *("GROUP", "VERSION", "KIND", "PLURAL", "CLUSTER_LABEL", "WORKER_BACKEND_OPTION"),
        *("GATEWAY_GROUP", "DASKCLUSTER_KIND", "DASKCLUSTER_PLURAL"),
    ],
)
def test_is_the_same_on_both_sides(name: str) -> None:
    assert getattr(htcdask_gateway, name) == getattr(names, name)


@pytest.mark.parametrize("name", ["WANTED_FIELD", "ASKED_FIELD"])
def test_the_numbers_are_where_the_operator_reads_them(name: str) -> None:
    assert getattr(htcdask_heartbeats, name) == getattr(names, name)


@pytest.mark.parametrize("name", ["GROUPS_FIELD", "MOST_GROUPS", "LONGEST_GROUP"])
def test_the_groups_are_where_the_operator_reads_them(name: str) -> None:
    assert getattr(htcdask_groups, name) == getattr(names, name)


def test_the_mark_is_what_the_operator_reads() -> None:
    assert htcdask_mark.ANNOTATION == names.POOL_MADE_ANNOTATION


def test_the_offer_is_where_the_operator_writes_it() -> None:
    assert (htcdask_offer.OFFER, htcdask_offer.CLAIM) == (names.OFFER, names.CLAIM)
    assert (htcdask_offer.CONTENT, htcdask_offer.LARGEST) == (offer.CONTENT, offer.LARGEST)
    assert htcdask_offer.PATTERNS == offer.PATTERNS


def test_what_workers_printed_is_where_the_operator_writes_it() -> None:
    assert (htcdask_logs.PLURAL, htcdask_logs.MOST) == (names.LOG_PLURAL, MAX_WORKERS)
    assert list(htcdask_logs.FIELDS) == [field.alias for field in WorkerLog.model_fields.values()]


def test_the_choices_are_the_same() -> None:
    choices = (names.WORKER_BACKEND_KUBERNETES, names.WORKER_BACKEND_HTCONDOR)
    assert choices == htcdask_options.WORKER_BACKENDS
    assert names.WORKER_BACKEND_HTCONDOR == htcdask_options.HTCONDOR
