import pytest

from htcdask_operator.core.counted import counted


def test_one_thing_is_told_from_many() -> None:
    assert [counted(count, "worker", "are") for count in (0, 1, 2)] == [
        "0 workers are",
        "1 worker is",
        "2 workers are",
    ]
    assert (counted(1, "job"), counted(3, "job")) == ("1 job", "3 jobs")


def test_a_verb_that_is_not_known_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="what does one worker do, when two sleep"):
        counted(1, "worker", "sleep")
