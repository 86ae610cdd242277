"""A setting exists only if it ran once on real parts: which test runs it there."""

from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from htcdask_operator.settings import Settings

TESTS = Path(__file__).parents[1]
SITE = "e2e/test_settings.py"
PATIENCE = f"{SITE}::test_how_patient_the_operator_is_with_workers_that_fail"
WORKERS = "contract/test_worker_settings.py"
MEMORY = "contract/test_memory.py"
EVERYWHERE = "e2e/test_scale.py::test_"  # the site cannot run without

RUN = {
    "operatorId": f"{SITE}::test_what_a_site_writes_into_every_job",
    "gatewayNamespaces": f"{SITE}::test_a_cluster_without_a_pool_gets_none_where_the_site_says_so",
    "accessPoint.collector": f"{EVERYWHERE}",
    "accessPoint.schedd": "e2e/test_refusals.py::test_a_wrong_site_setting_is_said_on_every_pool",
    "tokenFile": "e2e/test_refusals.py::test_a_wrong_site_setting_is_said_on_every_pool",
    "schedulerAddress": f"{EVERYWHERE}",
    "workerPorts": f"{WORKERS}::test_workers_listen_where_they_may_however_their_files_came",
    "nannyPorts": f"{WORKERS}::test_workers_listen_where_they_may_however_their_files_came",
    "workerPreload": f"{WORKERS}::test_the_site_s_preloads_run_before_the_user_s_and_none_is_lost",
    "nannyPreload": f"{WORKERS}::test_the_site_s_preloads_run_before_the_user_s_and_none_is_lost",
    "delivery": f"{WORKERS}::test_workers_listen_where_they_may_however_their_files_came",
    "template": "e2e/test_snippets.py::test_",
    "profiles.template": f"{SITE}::test_a_profile_is_all_that_it_says",
    "profiles.requirements": f"{SITE}::test_a_profile_is_all_that_it_says",
    "profiles.rank": f"{SITE}::test_a_profile_is_all_that_it_says",
    "profiles.accountingGroup": f"{SITE}::test_a_profile_is_all_that_it_says",
    "profiles.attributes": f"{SITE}::test_a_profile_is_all_that_it_says",
    "profiles.maxReplicas": f"{SITE}::test_a_profile_is_all_that_it_says",
    "limits.maxRuntimeSeconds": f"{SITE}::test_what_a_site_writes_into_every_job",
    "limits.maxReplicasPerPool": f"{SITE}::test_limits_for_a_pool_a_user_and_all",
    "limits.maxReplicasPerUser": f"{SITE}::test_limits_for_a_pool_a_user_and_all",
    "limits.maxReplicas": f"{SITE}::test_limits_for_a_pool_a_user_and_all",
    "profiles.outOfMemory.maxMemory": f"{MEMORY}::test_where_its_profile_allows_it_the_next_worker",
    "profiles.users": f"{SITE}::test_a_profile_is_for_whom_it_says",
    "profiles.groups": f"{SITE}::test_a_profile_is_for_whom_it_says",
    "limits.maxCoresPerUser": f"{SITE}::test_limits_count_what_workers_request",
    "limits.maxMemoryPerUser": f"{SITE}::test_limits_count_what_workers_request",
    "limits.maxGpusPerUser": f"{SITE}::test_limits_count_what_workers_request",
    "limits.maxCores": f"{SITE}::test_limits_count_what_workers_request",
    "limits.maxMemory": f"{SITE}::test_limits_count_what_workers_request",
    "limits.maxGpus": f"{SITE}::test_limits_count_what_workers_request",
    "limits.drainSeconds": "e2e/test_manual.py::test_a_cap_has_a_deadline_even_against_tasks_without_end",
    "defaultPool": f"{SITE}::test_a_cluster_without_a_pool_gets_none_where_the_site_says_so",
    "imagePathTemplate": f"{SITE}::test_what_a_site_writes_into_every_job",
    "allowedImages": f"{SITE}::test_what_a_site_does_not_allow",
    "imageTrees": "e2e/test_refusals.py::test_an_image_that_would_be_a_window",
    "allowUserExpressions": f"{SITE}::test_what_a_site_does_not_allow",
    "accountingGroup": f"{WORKERS}::test_the_accounting_group_is_the_sites_and_the_user_the_gateways",
    "leader.namespace": f"{SITE}::test_the_lease_is_as_long_as_it_shall_be",
    "leader.name": f"{SITE}::test_the_lease_is_as_long_as_it_shall_be",
    "leader.leaseSeconds": f"{SITE}::test_the_lease_is_as_long_as_it_shall_be",
    "jobExpirySeconds": "e2e/test_away.py::test_an_operator_that_never_comes_back_leaves_no_idle",
    "poll.activeSeconds": f"{SITE}::test_how_often_the_access_point_is_asked",
    "poll.quietSeconds": f"{SITE}::test_how_often_the_access_point_is_asked",
    "healing.suspendedSeconds": f"{SITE}::test_a_worker_that_is_suspended_for_longer_than_the_site_says",
    "healing.connectSeconds": f"{SITE}::test_a_worker_that_is_not_connected_is_reported_as_soon",
    "healing.deathTimeoutSeconds": f"{WORKERS}::test_a_worker_that_cannot_reach_its_scheduler_gives_up",
    "healing.vacateSeconds": f"{WORKERS}::test_a_removed_worker_has_its_time_and_no_more",
    "healing.endedSeconds": f"{WORKERS}::test_an_ended_worker_can_be_read_as_long_as_the_site_says",
    "healing.backoffFirstSeconds": PATIENCE,
    "healing.backoffLastSeconds": PATIENCE,
    "healing.breakerFailures": PATIENCE,
    "healthPort": f"{SITE}::test_how_often_the_access_point_is_asked",
}


def keys(model: type[BaseModel], path: str = "") -> set[str]:
    """Every key, as a site writes it; the fields of a pool's template are not settings."""
    found = set()
    for name, field in model.model_fields.items():
        key = f"{path}{field.alias or name}"
        inner = _section(field.annotation) if field.alias != "template" else None
        found |= keys(inner, f"{key}.") if inner else {key}
    return found


def _section(annotation: Any) -> type[BaseModel] | None:
    candidates = (annotation, *get_args(annotation))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def test_every_setting_is_run_by_a_test_on_real_parts() -> None:
    assert keys(Settings) == RUN.keys()


@pytest.mark.parametrize("test", sorted(set(RUN.values())))
def test_that_test_exists(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"def {name}" in (TESTS / file).read_text()
