"""The models by themselves: quantities, merging a template over its defaults, messages for people."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from htcdask_api import ClusterRef, PoolSpec, PoolStatus, Template, complaint, parse_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("128Mi", 128 * 2**20),
        ("2Gi", 2 * 2**30),
        ("1.5Gi", 3 * 2**29),
        ("8G", 8 * 10**9),
        ("4e9", 4 * 10**9),
        ("4E9", 4 * 10**9),
        ("1E", 10**18),
        ("500m", 1),  # rounded up, as Kubernetes does
        ("65536k", 65_536_000),
        (".5k", 500),
        ("1.", 1),
    ],
)
def test_a_quantity_is_so_many_bytes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "8GB", "2 Gi", "Gi", "1,5Gi", "2gi", "0x10", "2Gi\n", "1e", "ten", "²Gi"]
)
def test_what_is_not_a_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a Kubernetes quantity: write 512Mi, 2Gi or 8G"):
        parse_bytes(text)


@given(st.integers(0, 10**15), st.sampled_from(["", "k", "M", "Ki", "Mi"]))
def test_quantities_grow_with_their_number(number: int, suffix: str) -> None:
    assert parse_bytes(f"{number}{suffix}") < parse_bytes(f"{number + 1}{suffix}")


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


def test_a_status_that_nobody_has_written_is_all_zero() -> None:
    status = PoolStatus.model_validate({})
    assert (status.replicas, status.conditions, status.condition("Ready")) == (0, (), None)


def test_a_condition_is_found_by_its_type() -> None:
    written = {"type": "Ready", "status": "True", "reason": "AllConnected"}
    status = PoolStatus.model_validate(
        {"conditions": [{**written, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
    )
    condition = status.condition("Ready")
    assert condition is not None
    assert condition.reason == "AllConnected"


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
