"""Which differences between notebook, scheduler and workers count, and what hostile answers are."""

from typing import Any

import pytest

from htcdaskgateway._doctor.case import Fault
from htcdaskgateway._doctor.versions import compare
from htcdaskgateway._versions import parties as parties_of

SAME = {
    "python": "3.11.7.final.0",
    "dask": "2026.8.0",
    "distributed": "2026.8.0",
    "msgpack": "1.2.4",
    "lz4": None,
}


def parties(scheduler: dict[str, Any], *workers: dict[str, Any]) -> dict[str, Any]:
    both = {"notebook": SAME, "scheduler": {**SAME, **scheduler}}
    return both | {f"worker {number}": {**SAME, **worker} for number, worker in enumerate(workers)}


def test_the_same_everywhere_is_fine() -> None:
    assert compare(parties({}, {}, {})).startswith("the same on notebook, scheduler and 2 workers: python 3.")


def test_a_bug_fix_release_of_python_and_a_newer_tornado_are_fine() -> None:
    said = compare(parties({"python": "3.11.2.final.0", "tornado": "6.5"}))
    assert said.endswith("(harmless as a rule: tornado is not installed here, 6.5 on scheduler)")


@pytest.mark.parametrize(
    ("name", "version", "said"),
    [
        ("python", "3.12.1.final.0", "python is 3.11 here, 3.12 on worker 0"),
        ("distributed", "2024.1.0", "distributed is 2026.8.0 here, 2024.1.0 on worker 0"),
        ("msgpack", None, "msgpack is 1.2.4 here, not installed on worker 0"),
        ("lz4", "4.3.3", "lz4 is not installed here, 4.3.3 on worker 0"),
    ],
)
def test_what_differs_is_named_with_its_place(name: str, version: str | None, said: str) -> None:
    with pytest.raises(Fault, match="^" + said.replace(".", r"\.") + "$"):
        compare(parties({}, {name: version}))


def test_of_many_workers_a_few_are_named() -> None:
    with pytest.raises(Fault, match=r"2 on worker 0, 2 on worker 1, 2 on worker 2 and 97 more$"):
        compare(parties({}, *[{"dask": "2"}] * 100))


@pytest.mark.parametrize(
    "answer", [None, [], {"scheduler": 1}, {"scheduler": {"packages": [1]}, "workers": 2}]
)
def test_an_answer_of_another_shape_is_named(answer: Any) -> None:
    with pytest.raises(Fault, match="scheduler does not tell its versions"):
        compare(parties_of(SAME, answer))
