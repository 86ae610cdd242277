"""What may be written for one pool: bounded, and the last one says so."""

from htcdask_operator.core.status.events import Event, within
from htcdask_operator.core.token_bucket import EVENTS, STATUSES, Publicity, Rate, Spent
from tests.builders import NOW


def test_a_burst_and_then_one_at_a_time() -> None:
    rate, spent = Rate(3, 10.0), Spent()
    written = []
    for now in range(100):
        if spent.left(rate, now):
            spent = spent.one_more(rate, now)
            written.append(now)
    assert written == [0, 1, 2, 10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert spent.next_at(rate, 99) == 100


def test_a_clock_that_was_set_back_gives_nothing_and_takes_nothing() -> None:
    spent = Spent().one_more(Rate(3, 10.0), 1000)
    assert spent.left(Rate(3, 10.0), 500) == 2


def test_events_of_a_pool_are_bounded_and_the_last_one_says_until_when() -> None:
    spent = Publicity().events
    posted: list[Event] = []
    for second in range(3600):
        flap = (Event("Normal", "Scaled", "up"), Event("Warning", "Other", "x" * 5000))
        told, spent = within(flap, spent, NOW + second)
        posted += told
    assert len(posted) == EVENTS.burst + 3600 // EVENTS.seconds - 1
    assert "withheld" not in posted[EVENTS.burst - 2].message
    for last in posted[EVENTS.burst - 1 :]:
        assert "More Events of this pool are withheld until 2027-01-15T0" in last.message
        assert len(last.message.encode()) < 1024


def test_a_quiet_pool_loses_no_event() -> None:
    spent = Publicity().events
    for hour in range(10):
        told, spent = within([Event("Normal", "Scaled", "up")] * 12, spent, NOW + 3600 * hour)
        assert [event.message for event in told] == ["up"] * 12


def test_a_pool_that_grows_for_a_minute_is_told_of_each_second() -> None:
    spent = Spent()
    for second in range(60):
        assert spent.left(STATUSES, NOW + second)
        spent = spent.one_more(STATUSES, NOW + second)
