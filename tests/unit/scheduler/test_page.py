"""The scheduler's page, as distributed writes it and as somebody who means harm would."""

import contextlib
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from htcdask_operator.core.model import SchedulerWorkers
from htcdask_operator.scheduler import page

HEADINGS = "<th> Worker </th><th> Name </th><th> Cores </th><th> Processing </th><th> Logs </th>"
OURS = frozenset({"w1", "w2"})


def row(name: str, processing: object = 0, attributes: str = "") -> str:
    return (
        f"<tr {attributes}>\n<td><a href='../worker/tls%3A%2F%2Fnode.html'>tls://node</a></td> "
        f"<td> {name} </td><td data-sort='1'> 1 </td><td> {processing} </td>"
        "<td> <a href='logs'>logs</a></td> </tr>\n"
    )


def table(*rows: str, headings: str = HEADINGS) -> str:
    head = f"<html><ul><li>Status</li></ul><table class='t'>\n<thead>\n<tr>{headings}</tr>\n</thead>\n"
    return f"{head}<tbody>\n{''.join(rows)}</tbody>\n</table><script>a => b < c</script></html>"


def read(text: str) -> SchedulerWorkers:
    return page.read(text.encode(), OURS)


@pytest.mark.parametrize(
    ("text", "connected", "busy", "others"),
    [
        (table(), "", "", 0),
        (table(row("w1"), row("w2", 3)), "w1 w2", "w2", 0),
        (table(row("w1", attributes="style=background-color:#ffcdd2")), "w1", "", 0),
        (table(row("somebody"), row(""), row("x" * 10_000), row("w1")), "w1", "", 3),
        (table(row("w1", 0), row("w1", 2), row("w1", 0)), "w1", "w1", 0),
        (table(row("w1", -1), row("w2", "many")), "w1 w2", "w1 w2", 0),
        (table(row("w1", "9" * 10_000), row("w2", "")), "w1 w2", "w1 w2", 0),
        (table(row("<b>w1</b>"), row("w\x001"), row("w&#49;")), "", "", 3),
        (table(row("w1", "<td>")), "w1", "w1", 0),
        (table(row("\udcff".encode(errors="surrogateescape").decode("latin-1"))), "", "", 1),
    ],
    ids=[
        "nobody",
        "one of two is busy",
        "one that was not heard of for a minute",
        "workers that are not ours are counted and forgotten",
        "a name twice: busy if any says so",
        "what is no number is no idleness",
        "nor is a long one, or none",
        "a name in other clothes is another name",
        "a cell in a cell",
        "no UTF-8",
    ],
)
def test_a_page_is_read(text: str, connected: str, busy: str, others: int) -> None:
    assert read(text) == SchedulerWorkers(frozenset(connected.split()), frozenset(busy.split()), others)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "<![foo[x]]>",
        "<a " * 10_000,
        "x<b>" * 10_000,
        "<table>" * 10_000,
        "\0" * 10_000,
        table().replace("<thead>", "<THEAD>"),
        table(row("w1")).partition("</tbody>")[0],
        table(row("w1"))[:-120],
        table(headings="<th>Name</th>"),
        table(headings="<th>Processing</th>"),
        table(headings="<th>x</th>" * 100_000 + HEADINGS),
        table("<tr><td>a</td><td>w1</td></tr>"),
        table("<tr></tr>"),
        table("<tr>" + "</td>" * 100_000 + "</tr>"),
        table("<td>w1</td>"),
        table(row("w1"), "<tr><td>"),
        table(row("w1"), "and more"),
    ],
    ids=lambda text: f"{len(text)} letters: {text[-40:]!r}",
)
def test_what_is_not_whole_or_not_a_page_is_no_answer(text: str) -> None:
    with pytest.raises(page.NotAPageError):
        read(text)


MARKS = st.sampled_from(
    [
        *("<thead>", "</thead>", "<tbody>", "</tbody>", "<tr>", "</tr>", "<th>", "</th>", "<td>", "</td>"),
        *(
            "<td",
            "<",
            ">",
            "Name",
            "Processing",
            "w1",
            "0",
            " ",
            "<![foo[x]]>",
            "<a ",
            "&#49;",
            "\0",
            "é",
            "<!--",
        ),
        *(HEADINGS, row("w1", 1), table(row("w2"))),
    ]
)


@given(st.lists(MARKS, max_size=60).map("".join))
@example(table(row("w1")))
def test_whatever_it_says_there_is_an_answer_about_our_workers_or_none(text: str) -> None:
    try:
        answer = read(text)
    except page.NotAPageError:
        return
    assert answer.busy <= answer.connected <= OURS


@given(st.binary(max_size=300))
def test_whatever_the_bytes_are(text: bytes) -> None:
    with pytest.raises(page.NotAPageError):
        page.read(text, OURS)


UNITS = [
    "<![foo[x]]>",
    "<a ",
    "x<b>",
    "<",
    ">",
    "<td",
    "<td>",
    "</td>",
    "</th>",
    "<th>",
    "<tr>",
    "</tr>",
    "&#",
    "\0",
]
SHORTEST = row("w9").replace("<a href='../worker/tls%3A%2F%2Fnode.html'>tls://node</a>", "")


@pytest.mark.parametrize("unit", [*UNITS, "<thead>", "<tbody>", "</tbody>", SHORTEST])
@pytest.mark.parametrize("around", ["{}", "<thead>{}</thead><tbody></tbody>", table("{}"), table(row("{}"))])
def test_four_times_the_text_takes_about_four_times_as_long(unit: str, around: str) -> None:
    """Were it quadratic, it would be sixteen times as long, and seconds for the shorter one."""
    small, large = (_seconds(around.replace("{}", unit * (size // len(unit)))) for size in (2**18, 2**20))
    assert large < 10 * small + 0.1


def _seconds(text: str) -> float:
    encoded, best = text.encode(), float("inf")
    for _ in range(3):
        began = time.perf_counter()
        with contextlib.suppress(page.NotAPageError):
            page.read(encoded, OURS)
        best = min(best, time.perf_counter() - began)
    return best
