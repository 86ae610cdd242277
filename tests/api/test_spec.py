"""A pool's spec by itself: merging a template over its defaults, its rules, messages for people."""

from typing import Any

import pytest
from pydantic import ValidationError

from htcdask_api import ClusterRef, PoolSpec, Template, complaint


def test_a_template_is_filled_from_the_profile_then_from_the_site() -> None:
    user = Template(cores=4, environment={"A": "user"})
    profile = Template(cores=2, memory="8Gi", environment={"A": "profile", "B": "profile"})
    site = Template(memory="1Gi", disk="1Gi", container_image="/cvmfs/default", environment={"C": "site"})
    assert user.over(profile, site) == Template(
        cores=4,
        memory="8Gi",
        disk="1Gi",
        container_image="/cvmfs/default",
        environment={"A": "user", "B": "profile", "C": "site"},
    )


def test_a_default_that_is_written_out_wins_over_the_site() -> None:
    assert Template(cores=1, nanny=True).over(Template(cores=8, nanny=False)) == Template(cores=1, nanny=True)


def test_filling_twice_changes_nothing() -> None:
    site = Template(cores=8, environment={"A": "1"})
    once = Template(gpus=1).over(site)
    assert once.over(site) == once


def test_an_older_reader_ignores_what_it_does_not_know() -> None:
    spec = {"clusterRef": {"name": "c", "kind": "X"}, "template": {"cores": 2, "fpgas": 3}, "colour": "blue"}
    assert PoolSpec.model_validate(spec).manifest() == {"clusterRef": {"name": "c"}, "template": {"cores": 2}}


def test_a_manifest_holds_what_was_set_and_nothing_else() -> None:
    spec = PoolSpec.model_validate({"clusterRef": {"name": "c"}, "template": {"memory": "2Gi", "rank": None}})
    assert spec.manifest() == {"clusterRef": {"name": "c"}, "template": {"memory": "2Gi"}}


@pytest.mark.parametrize(
    ("template", "field", "sentence"),
    [
        ({"containerImage": ""}, "containerImage", "must be an absolute path"),
        ({"containerImage": "worker:latest"}, "containerImage", "must be an absolute path"),
        ({"containerImage": "/cvmfs/../etc"}, "containerImage", "without '..'"),
        ({"containerImage": "/cvmfs/image\n"}, "containerImage", "must be an absolute path"),
        ({"containerImage": "/cvmfs/$(HOME)"}, "containerImage", "must be an absolute path"),
        ({"memory": "8GB"}, "memory", "must be a Kubernetes quantity"),
        ({"memory": "1"}, "memory", "from 64Mi to below 1Pi"),
        ({"cores": 0}, "cores", "greater than or equal to 1"),
        ({"environment": {"A B": "1"}}, "environment", "'A B' is not"),
        ({"environment": {"A": "1\n2"}}, "environment", "control characters"),
        ({"environment": {f"A{i}": "x" * 16000 for i in range(3)}}, "environment", "32768 characters in all"),
        ({"resources": {"GPU": -1}}, "resources.GPU", "greater than or equal to 0"),
        ({"requirements": "true\nqueue 99"}, "requirements", "must be a ClassAd expression"),
    ],
)
def test_a_bad_template_is_refused_by_field_and_rule(
    template: dict[str, Any], field: str, sentence: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        PoolSpec.model_validate({"clusterRef": {"name": "c"}, "template": template})
    (error,) = caught.value.errors()
    assert ".".join(map(str, error["loc"])) == f"template.{field}"
    assert sentence in error["msg"]


TOKEN = "s3cr3t-t0ken"


@pytest.mark.parametrize(
    "template",
    [
        {"environment": {"A B": TOKEN}},
        {"environment": {"A": f"{TOKEN}\n"}},
        {"environment": {"A": TOKEN * 2000}},
        {"environment": {f"A{number}": TOKEN * 1000 for number in range(9)}},
        {"environment": {"A": 1}, "memory": TOKEN * 4},
        {"environment": {"A": [TOKEN]}},
        {"environment": TOKEN},
        {"environment": {"A": TOKEN}, "memory": "8GB"},
        {"environment": {"A": TOKEN}, "cores": {"A": TOKEN}},
        TOKEN,
    ],
)
def test_no_error_and_no_model_prints_a_variable_s_value(template: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        PoolSpec.model_validate({"clusterRef": {"name": "c"}, "template": template})
    assert TOKEN not in str(caught.value)
    where, rule = complaint(caught.value)
    assert TOKEN not in f"{where} {rule}"
    assert TOKEN not in repr(
        PoolSpec(cluster_ref=ClusterRef(name="c"), template=Template(environment={"A": TOKEN}))
    )


@pytest.mark.parametrize("amount", [8589934592, 8589934593, 10**12, 0, 0.1, 1 / 3, 5e-324, 123456789.125])
def test_a_resource_keeps_its_number(amount: float) -> None:
    spec = PoolSpec.model_validate({"clusterRef": {"name": "c"}, "template": {"resources": {"A": amount}}})
    assert spec.manifest()["template"]["resources"]["A"] == amount == spec.template.resources["A"]
