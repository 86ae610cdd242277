"""What the gateway's chart and options say of workers reaches a pool's template, or is told to be missing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import htcdask_config
from htcdask_api import Template, spec
from tests.gateway.servers import NAMESPACE, OURS, Site, extra_config, running_api

SITE = """
c.KubeClusterConfig.environment = {"SITE": "here", "SHARED": "site", "no good": "1"}
c.KubeClusterConfig.worker_cores = 4
c.KubeClusterConfig.worker_threads = 2
c.KubeClusterConfig.worker_extra_pod_config = {"terminationGracePeriodSeconds": 5}
"""
HANDLER = """
from dask_gateway_server.options import Bool, Mapping, Options
def with_gpus(options):
    more = {"worker_extra_pod_config": {"nodeSelector": {"kind": "gpu"}}} if options.gpu else {}
    return {"environment": {"OPTION": "yes", **options.environment}, **more}
c.Backend.cluster_options = Options(Bool("gpu"), Mapping("environment"), handler=with_gpus)
"""


def served(site: Site, folder: Path, **extra: str) -> Iterator[Any]:
    """By a server of its own: what a pool with this template of a cluster with these options becomes."""
    with running_api(folder, "configured", site.kubeconfig, {**extra, **extra_config(OURS)}) as api:

        def pool(template: dict[str, Any], **options: Any) -> tuple[dict[str, Any], list[str]]:
            chosen = {"worker_backend": "htcondor", **options}
            status, cluster = api("ada", "POST", "/api/v1/clusters/", {"cluster_options": chosen})
            assert status == 201, cluster
            body = {"name": "default", "spec": {"template": template}}
            path = f"/api/v1/clusters/{cluster['name']}/htcondor/pools"
            status, made = api("ada", "POST", path, body)
            assert status == 201, made
            assert cluster["name"].startswith(f"{NAMESPACE}.")
            return made["spec"]["template"], made["lacking"]

        yield pool


def test_what_comes_after_ours_is_said_in_the_log(site: Site, tmp_path: Path) -> None:
    others = {"a-site": "c.KubeClusterConfig.worker_threads = 2", "zzz-late": "late = True", "zzz": ""}
    with running_api(tmp_path, "late", site.kubeconfig, {**others, **extra_config(OURS)}) as api:
        (line,) = [line for line in api.log.read_text().splitlines() if "zz-htcdask" in line]
        assert api("ada", "GET", "/api/v1/htcondor")[1]["laterEntries"] == ["zzz", "zzz-late"]
    assert "gateway.extraConfig: zzz, zzz-late come after zz-htcdask" in line
    assert "a-site" not in line
    with running_api(tmp_path, "first", site.kubeconfig, {"a": "", **extra_config(OURS)}) as api:
        assert "come after zz-htcdask" not in api.log.read_text()
        assert api("ada", "GET", "/api/v1/htcondor")[1]["laterEntries"] == []


@pytest.fixture(scope="module")
def by_chart(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from served(site, tmp_path_factory.mktemp("by-chart"), of_site=SITE)


@pytest.fixture(scope="module")
def by_option(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from served(site, tmp_path_factory.mktemp("by-option"), of_site=SITE, of_options=HANDLER)


def test_the_charts_environment_and_threads_are_the_workers_and_theirs_go_before(by_chart: Any) -> None:
    template, lacking = by_chart({})
    assert template == {"environment": {"SITE": "here", "SHARED": "site"}, "threads": 2}
    assert lacking == ["environment.no good"], "and nothing of what all pods of this site have"
    template, _ = by_chart({"environment": {"SHARED": "mine", "MINE": "1"}, "threads": 1})
    assert template == {"environment": {"SITE": "here", "SHARED": "mine", "MINE": "1"}, "threads": 1}


def test_a_profile_keeps_its_threads(by_chart: Any) -> None:
    template, _ = by_chart({"profile": "large"})
    assert template == {"environment": {"SITE": "here", "SHARED": "site"}, "profile": "large"}


def test_what_an_options_handler_says_is_the_workers_or_told(by_option: Any) -> None:
    template, lacking = by_option({"environment": {"A": "1"}}, environment={"A": "1"}, gpu=True)
    assert template["environment"] == {"OPTION": "yes", "A": "1"}
    assert lacking == ["worker_extra_pod_config"]
    assert by_option({})[1] == []


class Backend:
    """All that is asked of it: the configuration before any option."""

    def cluster_config_class(self, parent: Any) -> Any:
        return self

    def to_dict(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    "config",
    [
        None,
        [],
        {},
        {"environment": 1, "worker_threads": "2"},
        {"worker_threads": True},
        {"worker_threads": 0},
        {"worker_threads": 2000},
        {"worker_threads": 1, "worker_cores": 0.5},
        {"worker_threads": 4, "worker_cores": 4.5},
        {"environment": {"A": 1, "B": None, "C": "\n", "D": "x" * 16385, "1": "x", "": "x"}},
    ],
)
def test_what_is_no_word_for_a_worker_changes_nothing(config: Any) -> None:
    template: dict[str, Any] = {"cores": 1}
    htcdask_config.fill(template, config, Backend())
    assert template == {"cores": 1}


def test_a_pool_that_would_be_taken_is_taken_with_the_sites_environment_too() -> None:
    own = {f"OWN_{number}": "x" * 100 for number in range(250)}
    theirs = {f"SITE_{number}": "x" * 5000 for number in range(10)}
    template: dict[str, Any] = {"environment": own}
    lacking = htcdask_config.fill(template, {"environment": theirs}, Backend())
    assert Template.model_validate(template).environment.items() > own.items()
    assert len(lacking) == 10 - (len(template["environment"]) - 250)
    several = {"environment": {f"SITE_{number}": "" for number in range(300)}}
    bare: dict[str, Any] = {}
    assert len(htcdask_config.fill(bare, several, Backend())) == 300 - 256
    assert len(Template.model_validate(bare).environment) == 256


@pytest.mark.parametrize("template", [None, 3, [], "x", {"environment": 3}, {"environment": [1]}])
def test_what_is_no_template_is_for_others_to_refuse(template: Any) -> None:
    assert htcdask_config.fill(template, {"environment": {"A": "1"}}, Backend()) == []
    assert template in (None, 3, [], "x", {"environment": 3}, {"environment": [1]})


def test_the_bounds_are_those_of_the_pool() -> None:
    assert f"^{htcdask_config.NAME.pattern}$" == spec.ENVIRONMENT_NAME_PATTERN
    assert htcdask_config.MOST_CHARACTERS == spec.MAX_ENVIRONMENT_CHARACTERS
