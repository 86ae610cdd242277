"""What runs on execute nodes runs in images that are years old."""

from __future__ import annotations

import ast
from importlib.resources import files

import pytest

from htcdask_operator.condor.worker.bundle import render
from htcdask_operator.core.submit import descriptions
from tests.builders import make_cluster, make_policy, make_template

PROGRAMS = ("worker_preload.py", "nanny_preload.py", "scheduler_check.py")


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_one_that_python_3_7_reads_and_evaluates_no_annotation(name: str) -> None:
    text = files("htcdask_operator.condor.worker").joinpath(name).read_text()
    tree = ast.parse(text, feature_version=(3, 7))
    first = tree.body[1]
    assert isinstance(first, ast.ImportFrom) and first.module == "__future__"


def test_an_ipv6_address_is_tried_without_its_brackets() -> None:
    policy = make_policy(scheduler_address="[2001:db8::1]:443")
    bundle = descriptions.bundle(make_cluster(), make_template(), policy)
    content = render(bundle, "CERT", "KEY").decode()
    assert "HOST = " in content and "2001:db8::1" in content
    assert "[2001:db8::1]" not in content[content.index("HOST = ") :][:60]
