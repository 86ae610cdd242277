"""The raw submit lines of the older clients become a rank and a requirement that a pool's template takes."""

import pytest

from htcdask_api import Template
from htcdaskgateway._worker_pools.node_match_expr import parse_node_match


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rank = (isDaskNode == True)", {"rank": "(isDaskNode == True)"}),
        ("Requirements=HasAVX2", {"requirements": "HasAVX2"}),
        ("rank = KFlops\nrequirements = Memory > 1024", {"rank": "KFlops", "requirements": "Memory > 1024"}),
        ('requirements = Arch == "a;b" ; rank = 1', {"requirements": 'Arch == "a;b"', "rank": "1"}),
        (
            "rank = [a = 1; b = 2].b;requirements = {1}[0]",
            {"rank": "[a = 1; b = 2].b", "requirements": "{1}[0]"},
        ),
        ('requirements = Arch == "a" \\\n  && Cpus > 1', {"requirements": 'Arch == "a"    && Cpus > 1'}),
        (
            'requirements = !member(Machine, {"a.example"})\r\nrank = regexp("^node\\d+$", Machine)',
            {"requirements": '!member(Machine, {"a.example"})', "rank": 'regexp("^node\\d+$", Machine)'},
        ),
    ],
)
def test_a_line_becomes_rank_or_requirements(expression: str, expected: dict[str, str]) -> None:
    assert Template.model_validate(parse_node_match(expression)).manifest() == expected
