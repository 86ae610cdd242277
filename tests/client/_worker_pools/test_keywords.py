"""What each keyword becomes, and what is said when it is wrong: before anything is created."""

import numbers
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import dask
import pytest
from dask_gateway import GatewayWarning

from htcdask_api import parse_bytes
from htcdaskgateway._config import ClientConfig
from htcdaskgateway._worker_pools.keywords import Request, read_keywords


def read(chosen: dict[str, Any] | None = None, /, **keywords: Any) -> Request:
    return read_keywords(keywords, chosen or {}, ClientConfig.read())


def template(chosen: dict[str, Any] | None = None, /, **keywords: Any) -> dict[str, Any]:
    return read(chosen, **keywords).template.manifest()


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({}, {}),
        ({"container_image": None, "worker_cores": None}, {}),
        (
            {"container_image": "/u/bengal1/condor/PublicHealth.sif"},
            {"containerImage": "/u/bengal1/condor/PublicHealth.sif"},
        ),
        ({"worker_cores": 4}, {"cores": 4}),
        ({"worker_memory": 2}, {"memory": "2048Mi"}),
        ({"worker_memory": 1.5}, {"memory": "1536Mi"}),
        ({"worker_memory": 4.0}, {"memory": "4096Mi"}),
        ({"worker_memory": "8GB"}, {"memory": "7630Mi"}),
        ({"worker_memory": "8 GiB"}, {"memory": "8192Mi"}),
        ({"worker_memory": "512MB", "worker_disk": "1.5 tb"}, {"memory": "489Mi", "disk": "1430512Mi"}),
        ({"memory": "32GB", "cpus": 4}, {"memory": "32768Mi", "cores": 4}),
        ({"memory": "2048", "cpus": "2"}, {"memory": "2048Mi", "cores": 2}),
        ({"max_runtime": "1h"}, {"maxRuntimeSeconds": 3600}),
        ({"max_runtime": timedelta(minutes=90)}, {"maxRuntimeSeconds": 5400}),
        ({"container_image": Path("/images/a.sif")}, {"containerImage": "/images/a.sif"}),
        (
            {"environment": {"A": 1, "B": True, "C": 0.5}},
            {"environment": {"A": "1", "B": "True", "C": "0.5"}},
        ),
        (
            {"node_match_expr": "requirements = HasAVX2 && \\\n    Memory > 1024\nrank = KFlops"},
            {"requirements": "HasAVX2 &&      Memory > 1024", "rank": "KFlops"},
        ),
        ({"worker_memory": "4Gi", "worker_disk": 10}, {"memory": "4Gi", "disk": "10240Mi"}),
        (
            {"worker_threads": 2, "worker_gpus": 1, "worker_nanny": False},
            {"threads": 2, "gpus": 1, "nanny": False},
        ),
        ({"max_runtime": 3600, "profile": "Small GPU"}, {"maxRuntimeSeconds": 3600, "profile": "Small GPU"}),
        (
            {"environment": {"A": "1"}, "worker_resources": {"GPU": 1}},
            {"environment": {"A": "1"}, "resources": {"GPU": 1.0}},
        ),
    ],
)
def test_a_keyword_becomes_a_field_of_the_template(
    keywords: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert template(**keywords) == expected


class Kind:
    """A number as numpy has them: none of Python's own, and registered as what it is."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __str__(self) -> str:
        return str(self.value)


class Whole(Kind):
    def __index__(self) -> int:
        return int(self.value)


class Real(Kind):
    def __float__(self) -> float:
        return float(self.value)


numbers.Integral.register(Whole)
numbers.Real.register(Real)


@pytest.mark.parametrize("one", [1, 1.0, "1", Whole(1)])
@pytest.mark.parametrize("keyword", ["worker_cores", "worker_threads", "worker_gpus", "cpus"])
def test_a_whole_number_is_one_in_any_kind(keyword: str, one: Any) -> None:
    assert list(template(**{keyword: one}).values()) == [1]


@pytest.mark.parametrize("two", [2, 2.0, Whole(2), Real(2), "2Gi", "2 GiB"])
def test_a_size_is_one_in_any_kind(two: Any) -> None:
    request = read(worker_memory=two, worker_disk=two)
    assert {parse_bytes(size) for size in request.template.manifest().values()} == {2**31}
    assert request.options_for({"worker_memory": 1.0}) == {"worker_memory": 2.0}


def test_numbers_of_other_kinds_are_read_everywhere() -> None:
    assert template(environment={"A": Whole(1), "B": Real(0.5)}, worker_resources={"GPU": Whole(1)}) == {
        "environment": {"A": "1", "B": "0.5"},
        "resources": {"GPU": 1.0},
    }
    assert template(max_runtime="3600") == template(max_runtime=Whole(3600)) == {"maxRuntimeSeconds": 3600}
    assert template(memory=Whole(4096)) == {"memory": "4096Mi"}


def test_much_memory_without_a_unit_is_doubted() -> None:
    with pytest.warns(GatewayWarning, match="4096 means GiB; for MiB write '4096Mi'"):
        template(worker_memory=Whole(4096))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        template(worker_memory=1024, worker_disk=4096)
        template(worker_memory="4096Gi")
        template(memory=4096)


def test_an_unpacked_image_is_for_scheduler_and_workers() -> None:
    request = read(apptainer_image="coffeateam/coffea-dask:0.7")
    path = "/cvmfs/unpacked.cern.ch/registry.hub.docker.com/coffeateam/coffea-dask:0.7"
    assert request.template.container_image == path
    assert request.options_for({"image": "any"}) == {
        "image": "registry.hub.docker.com/coffeateam/coffea-dask:0.7"
    }
    assert request.options_for({}) == {}


def test_a_site_sets_registry_image_and_path() -> None:
    with dask.config.set(
        {"htcdask.apptainer-image": "org/one:1", "htcdask.image-path-template": "/images/{registry}/{name}"}
    ):
        assert template(image_registry="quay.example") == {"containerImage": "/images/quay.example/org/one:1"}


@pytest.mark.parametrize(
    ("chosen", "keywords", "image"),
    [
        ({"image": "org/a:1"}, {}, "/cvmfs/unpacked.cern.ch/registry.hub.docker.com/org/a:1"),
        ({"image": "quay.example/org/a:1"}, {}, "/cvmfs/unpacked.cern.ch/quay.example/org/a:1"),
        (
            {"image": "org/a:1"},
            {"image": "org/b:1"},
            "/cvmfs/unpacked.cern.ch/registry.hub.docker.com/org/b:1",
        ),
        (
            {"image": "org/a:1"},
            {"image_registry": "quay.example"},
            "/cvmfs/unpacked.cern.ch/quay.example/org/one:1",
        ),
        ({"image": "org/a:1"}, {"container_image": "/b.sif"}, "/b.sif"),
    ],
)
def test_where_a_site_unpacks_its_images_the_schedulers_is_the_workers_too(
    chosen: dict[str, Any], keywords: dict[str, Any], image: str
) -> None:
    with dask.config.set({"htcdask.apptainer-image": "org/one:1"}):
        assert template(chosen, **keywords) == {"containerImage": image}
        assert template({}) == {}
    assert "org/a" not in str(template(chosen, **keywords | {"image_registry": None}))


def test_texts_in_options_that_are_no_sizes_are_the_sites() -> None:
    assert template({"worker_cores": "many", "worker_memory": "large"}) == {}
    assert template({"worker_cores": "1.5", "worker_memory": "8"}) == {"cores": 2, "memory": "8192Mi"}


def test_container_image_precedes_apptainer_image_and_image_its_scheduler() -> None:
    request = read(container_image="/a.sif", apptainer_image="org/b:1", image="org/c:1")
    assert request.template.container_image == "/a.sif"
    assert request.options_for({"image": ""}) == {"image": "org/c:1"}


def test_sizes_in_cluster_options_hold_unless_a_keyword_says_otherwise() -> None:
    chosen = {"worker_cores": 2, "worker_memory": 3.0, "image": "org/a:1"}
    assert template(chosen, worker_cores=4) == {"cores": 4, "memory": "3072Mi"}


def test_a_workers_environment_and_threads_in_cluster_options_are_its_own() -> None:
    chosen = {"environment": {"A": 1, "B": True}, "worker_threads": 2.0, "worker_resources": {"GPU": 1}}
    assert template(chosen) == {
        "environment": {"A": "1", "B": "True"},
        "threads": 2,
        "resources": {"GPU": 1.0},
    }
    assert template(chosen, environment={"C": "3"}, worker_threads=1)["environment"] == {"C": "3"}
    assert template({"environment": "tensorflow", "worker_threads": "auto"}) == {}, "a site's own words"
    assert template({"environment": {}}) == {}


def test_a_shared_keyword_is_told_in_the_options_own_kind() -> None:
    request = read(worker_cores=2, worker_memory="4Gi", environment={"A": "1"})
    assert request.options_for({"worker_cores": 1.0, "worker_memory": 1.0}) == {
        "worker_cores": 2,
        "worker_memory": 4.0,
    }
    assert request.options_for({"worker_memory": "1G", "environment": {}}) == {
        "worker_memory": "4Gi",
        "environment": {"A": "1"},
    }


@pytest.mark.parametrize(
    ("keywords", "kind", "keyword", "rule"),
    [
        ({"container_image": ""}, ValueError, "container_image", "must be an absolute path"),
        ({"container_image": "worker.sif"}, ValueError, "container_image", "must be an absolute path"),
        ({"container_image": "/a/../b.sif"}, ValueError, "container_image", "without '..'"),
        ({"container_image": 3}, TypeError, "container_image", "must be a text, such as '/images/"),
        ({"worker_cores": 0}, ValueError, "worker_cores", "must be 1 or more; got 0"),
        ({"worker_cores": 1.5}, ValueError, "worker_cores", "must be a whole number; got 1.5"),
        ({"worker_cores": True}, TypeError, "worker_cores", "whole number"),
        ({"worker_cores": "two"}, TypeError, "worker_cores", "whole number"),
        ({"worker_memory": "8 cows"}, ValueError, "worker_memory", "'4Gi' or '512MB'; got '8 cows'"),
        ({"worker_memory": "8", "memory": 8}, ValueError, "memory", "are the same"),
        ({"memory": 32}, ValueError, "memory", "write '32GB'"),
        ({"memory": True}, TypeError, "memory", "must be a size"),
        ({"cpus": 0}, ValueError, "cpus", "must be 1 or more; got 0"),
        ({"max_runtime": "soon"}, ValueError, "max_runtime", "such as '1h'"),
        (
            {"container_image": "quay.io/org/name:tag"},
            ValueError,
            "container_image",
            "docker://quay.io/org/name:tag",
        ),
        ({"container_image": "osdf:///org/x.sif"}, ValueError, "container_image", "no osdf:// images"),
        ({"container_image": "./x.sif"}, ValueError, "container_image", "must be an absolute path"),
        ({"container_image": "org/name:tag"}, ValueError, "container_image", "docker://"),
        ({"container_image": "library://org/x"}, ValueError, "container_image", "no library:// images"),
        ({"node_match_expr": "rank = 1\n+Want = True"}, ValueError, "node_match_expr", "ask for a profile"),
        ({"node_match_expr": "MY.Want = True"}, ValueError, "node_match_expr", "ask for a profile"),
        ({"worker_memory": 0}, ValueError, "worker_memory", "from 64Mi"),
        ({"worker_memory": -1}, ValueError, "worker_memory", "from 64Mi"),
        ({"worker_memory": float("inf")}, ValueError, "worker_memory", "finite"),
        ({"worker_memory": True}, TypeError, "worker_memory", "must be a size"),
        ({"worker_memory": [1]}, TypeError, "worker_memory", "got a list"),
        ({"worker_memory": 0.001}, ValueError, "worker_memory", "4 (GiB), '4Gi' or '512MB'; got 0.001"),
        ({"worker_memory": "4"}, ValueError, "worker_memory", "write '4Gi' or 4, which is GiB"),
        (
            {"memory": "1MB"},
            ValueError,
            "memory",
            "from 64Mi to below 1Pi: 4 (GiB), '4Gi' or '512MB'; got '1MB'",
        ),
        ({"worker_gpus": "one"}, TypeError, "worker_gpus", "whole number"),
        ({"worker_nanny": "x"}, ValueError, "worker_nanny", "must be True or False; got 'x'"),
        ({"environment": "A=1"}, TypeError, "environment", "such as {'OMP_NUM_THREADS': '1'}; got a str"),
        (
            {"environment": {"C": None}},
            TypeError,
            "environment.C",
            "must be a text or a number, such as '1'; got None",
        ),
        ({"worker_resources": "GPU=1"}, TypeError, "worker_resources", "such as {'GPU': 1}; got a str"),
        ({"worker_resources": {"A": -1}}, ValueError, "worker_resources.A", "must be 0 or more"),
        ({"max_runtime": 1}, ValueError, "max_runtime", "must be 300 or more; got 1"),
        ({"environment": {"A": [1]}}, TypeError, "environment.A", "must be a text or a number"),
        ({"environment": {"A B": "1"}}, ValueError, "environment", "letters, digits"),
        ({"profile": 'No "Such'}, ValueError, "profile", "such as 'Small GPU'"),
        ({"image": ""}, ValueError, "image", "must not be empty"),
        ({"image": 7}, TypeError, "image", "string"),
        ({"image_registry": "quay.example"}, ValueError, "image_registry", "apptainer_image too"),
        ({"node_match_expr": "+Want = 1"}, ValueError, "node_match_expr", "requirements = "),
        ({"node_match_expr": "rank == 1"}, ValueError, "node_match_expr", "requirements = "),
        ({"node_match_expr": "rank = 1\nrank = 2"}, ValueError, "node_match_expr", "twice"),
        ({"node_match_expr": ";"}, ValueError, "node_match_expr", "requirements = "),
        ({"node_match_expr": "rank = Cpus >"}, ValueError, "node_match_expr", "after 'Cpus >'; got 'Cpus >'"),
        (
            {"node_match_expr": "rank = 1\ninclude command : x"},
            ValueError,
            "node_match_expr",
            "include command",
        ),
        (
            {"node_match_expr": r"requirements = TARGET.'Cpus\ninclude command : touch x\ny = ' > 0"},
            ValueError,
            "node_match_expr",
            "quoted name",
        ),
        ({"node_match_expr": r'rank = "\\" == ") || true //"'}, ValueError, "node_match_expr", "backslash"),
        ({"container_image": "/proc/self/root"}, ValueError, "container_image", "must not be in /proc"),
        ({"container_image": "/cvmfs//x"}, ValueError, "container_image", "no empty"),
    ],
)
def test_what_is_wrong_is_named(
    keywords: dict[str, Any], kind: type[Exception], keyword: str, rule: str
) -> None:
    with pytest.raises(kind) as refused:
        read(**keywords)
    assert type(refused.value) is kind
    assert str(refused.value).startswith(keyword)
    assert rule in str(refused.value)


TOKEN = "s3cr3t-t0ken"
WITH_A_TOKEN: list[tuple[dict[str, Any], str]] = [
    (
        {"environment": {"BASH_FUNC_module%%": TOKEN, "A B": TOKEN, "C": TOKEN}},
        "'BASH_FUNC_module%%', 'A B' are not",
    ),
    ({"environment": {f"A {number}": TOKEN for number in range(9)}}, "'A 4' and 4 more are not"),
    ({"environment": {"A" * 200 + " ": TOKEN}}, f"'{'A' * 40}' is not"),
    ({"environment": {f"TOKEN={TOKEN}": "1"}}, "'TOKEN' is not"),
    (
        {"environment": {f"TOKEN={TOKEN}": None}},
        "environment.TOKEN: must be a text or a number, such as '1'; got None",
    ),
    ({"environment": {("A", TOKEN): TOKEN}}, "names must be strings"),
    ({"environment": {"A": f"{TOKEN}\n", "B": f"\x1b{TOKEN}"}}, "those of 'A', 'B' do"),
    ({"environment": {"A": f"{TOKEN}\udc80"}}, "environment.A"),
    ({"environment": {"A": TOKEN * 2000}}, "at most 16384 characters"),
    ({"environment": {f"A{number}": TOKEN * 1000 for number in range(9)}}, "32768 characters in all"),
    ({"environment": {f"A{number}": TOKEN for number in range(300)}}, "at most 256 items"),
    (
        {"environment": {"A": {"B": TOKEN}}},
        "environment.A: must be a text or a number, such as '1'; got a dict",
    ),
    (
        {"environment": {"A": [1], "B": None, "C": TOKEN}},
        "environment.A: must be a text or a number, such as '1'; got a list, and so for 'B'",
    ),
    ({"environment": TOKEN}, "a mapping of names to texts or numbers"),
    ({"environment": [TOKEN]}, "a mapping of names to texts or numbers"),
    ({"worker_resources": {"A": TOKEN}}, "worker_resources.A"),
    ({"worker_resources": TOKEN}, "worker_resources"),
    *(({name: {"A": TOKEN}}, name) for name in ("image", "profile", "container_image", "node_match_expr")),
    *(
        ({name: {"A": TOKEN}}, name)
        for name in ("worker_cores", "worker_memory", "worker_nanny", "max_runtime")
    ),
]


@pytest.mark.parametrize(("keywords", "words"), WITH_A_TOKEN)
def test_no_message_has_a_variable_s_value(keywords: dict[str, Any], words: str) -> None:
    with pytest.raises((TypeError, ValueError)) as refused:
        read(**keywords)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    assert TOKEN not in str(refused.value)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 400


def test_what_is_asked_for_is_printed_without_the_variables() -> None:
    assert TOKEN not in repr(read(environment={"A": TOKEN}))


def test_a_resource_is_the_very_number() -> None:
    manifest = template(worker_resources={"MEMORY": 8589934592, "THIRD": 1 / 3})
    assert manifest == {"resources": {"MEMORY": 8589934592, "THIRD": 1 / 3}}
