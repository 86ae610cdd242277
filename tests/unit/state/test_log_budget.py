"""What all pools together may write into their HTCWorkerLogs."""

from htcdask_api.worker_log import MAX_BYTES
from htcdask_operator.state.log_budget import BYTES, LogBudget
from tests.builders import NOW

MIB = 1024 * 1024


def test_three_hundred_pools_write_a_burst_and_then_a_quarter_of_a_mebibyte_a_second() -> None:
    budget, written = LogBudget(), 0
    for second in range(300):
        for _ in range(30):  # each of the 300, every ten seconds
            if budget.reserve(NOW + second):
                budget.wrote(MAX_BYTES, NOW + second)
                written += MAX_BYTES
    assert 85 * MIB < written <= BYTES.burst + 300 / BYTES.seconds


def test_what_was_set_aside_and_not_written_is_free_again() -> None:
    budget = LogBudget()
    assert all(budget.reserve(NOW) for _ in range(BYTES.burst // MAX_BYTES))
    assert not budget.reserve(NOW), "nobody writes what others may be writing just now"
    budget.wrote(1000, NOW)
    assert not budget.reserve(NOW)
    budget.wrote(1000, NOW)
    assert budget.reserve(NOW)
