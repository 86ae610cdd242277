"""The pools as HTML: a bar of states, the reason and what to do, and failures that are folded."""

from html.parser import HTMLParser

from htcdask_api import PoolStatus
from htcdaskgateway._worker_pools import panel
from htcdaskgateway._worker_pools.explanation import NO_POOL
from tests.client.pool_statuses import SINCE, WAITING, condition, pool

EVIL = "<img src=x onerror='alert(1)'>\"&</pre></details><script>"


class Parsed(HTMLParser):
    """The elements, which must all be closed, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_bar_has_a_part_for_each_state_and_room_for_those_that_are_missing() -> None:
    status = PoolStatus(
        desired_replicas=10, submitting=1, idle=1, running=5, connected=3, held=1, retiring=1, failed=7
    )
    assert panel.states(status) == {"idle": 2, "starting": 2, "connected": 3, "held": 1, "leaving": 1}
    html = panel.bars([pool(**status.model_dump(by_alias=True))])
    for part in (
        "title='2 idle' style='flex:2;",
        "title='3 connected' style='flex:3;",
        "<div style='flex:1'>",
    ):
        assert part in html
    assert "3 of 10 workers connected 2 idle 2 starting" in Parsed(html).text  # also for who copies it
    assert (
        "background:#" not in html.partition("display:flex")[2].partition("'")[0]
    )  # nor white on a dark page
    assert panel.states(WAITING.status)["failed"] == 1


def test_the_reason_is_there_with_what_to_do() -> None:
    stalled = pool(conditions=[condition("Stalled", "True", "WorkersKeepFailing", "3 ended badly.")])
    said = Parsed(panel.bars([stalled])).text
    assert "WorkersKeepFailing 3 ended badly." in said
    assert "cluster.logs()" in said
    assert "1 waiting" not in said
    explained = Parsed(panel.bars([WAITING])).text
    assert explained.count("no slot has 64 cores") == 1


def test_failures_are_folded_with_their_last_lines() -> None:
    found = Parsed(panel.failures([WAITING, pool("gpu")]))
    assert found.tags == ["details", "summary", "p", "pre"]
    assert "1 worker failed lately" in found.text
    assert f"default, w-1 on slot1@<ep> at {SINCE}: Exited (exit code 2)" in found.text
    assert "ModuleNotFoundError" in found.text
    assert panel.failures([pool()]) == ""


def test_nothing_that_a_status_says_is_obeyed() -> None:
    """Whoever owns an execute node writes a worker's last lines, and a site its reasons' sentences."""
    failure = {
        "time": EVIL,
        "worker": EVIL,
        "machine": EVIL,
        "reason": "Exited",
        "message": EVIL,
        "logTail": EVIL,
    }
    evil = pool(
        EVIL,
        desiredReplicas=2,
        idle=2,
        explanation=[{"reason": "PoolFull", "message": EVIL, "count": 2}],
        recentFailures=[failure],
        conditions=[condition("Stalled", "True", "BadImage", EVIL)],
    )
    bars, failures = Parsed(panel.bars([evil])), Parsed(panel.failures([evil]))
    assert {*bars.tags, *failures.tags} == {"div", "b", "span", "br", "details", "summary", "p", "pre"}
    assert bars.text.count(EVIL) == 3
    assert failures.text.count(EVIL) == 6


def test_no_pool_is_said_and_several_are_told_apart() -> None:
    assert NO_POOL in panel.bars([])
    several = Parsed(panel.bars([pool("cpu"), pool("gpu", desiredReplicas=2)])).text
    assert "HTCondor, gpu: 0 of 2 workers connected" in several
