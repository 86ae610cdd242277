"""A cluster's end is asked for again while its gateway is away, and no longer than a restart takes."""

from unittest.mock import Mock

import aiohttp
import pytest
from yarl import URL

from htcdaskgateway import _stopping
from htcdaskgateway._answers import mark_as_own
from htcdaskgateway._errors import GatewayAwayError
from htcdaskgateway._stopping import until_taken


def of_a_proxy(status: int) -> aiohttp.ClientResponseError:
    url = URL("http://gateway.example")
    return aiohttp.ClientResponseError(Mock(real_url=url), (), status=status)


def not_known() -> ValueError:
    error = ValueError("Cluster gateway.x not found")
    mark_as_own(error)
    return error


class Gateway:
    """It answers with these, the last one for ever; None: it has taken it."""

    def __init__(self, *answers: Exception | None) -> None:
        self._answers, self.asked = answers, 0

    async def stop(self) -> None:
        self.asked += 1
        answer = self._answers[min(self.asked, len(self._answers)) - 1]
        if answer is not None:
            raise answer


AWAY = [
    GatewayAwayError("404"),
    of_a_proxy(502),
    of_a_proxy(503),
    of_a_proxy(504),
    ConnectionRefusedError(),
    aiohttp.ServerDisconnectedError(),
]


def named(error: Exception) -> str:
    """The same in each process of a test run."""
    return f"{type(error).__name__}-{getattr(error, 'status', error)}"


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stopping, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(_stopping, "_AWAY_SECONDS", 0.3)


@pytest.mark.parametrize("away", AWAY, ids=named)
async def test_a_gateway_that_comes_back_is_asked_again(away: Exception) -> None:
    gateway = Gateway(away, away, None)
    await until_taken(gateway.stop)
    assert gateway.asked == 3


@pytest.mark.parametrize("away", AWAY, ids=named)
async def test_one_that_stays_away_is_told(away: Exception) -> None:
    gateway = Gateway(away)
    with pytest.raises(type(away)):
        await until_taken(gateway.stop)
    assert 5 < gateway.asked < 40


@pytest.mark.parametrize(
    "refused",
    [not_known(), ValueError("a character that cannot be sent"), of_a_proxy(401), of_a_proxy(500)],
    ids=named,
)
async def test_what_is_refused_is_not_asked_again(refused: Exception) -> None:
    gateway = Gateway(refused)
    with pytest.raises(type(refused)):
        await until_taken(gateway.stop)
    assert gateway.asked == 1


async def test_a_cluster_that_is_not_known_any_more_was_ended_by_the_question_whose_answer_was_lost() -> None:
    gateway = Gateway(aiohttp.ServerDisconnectedError(), not_known())
    await until_taken(gateway.stop)
    assert gateway.asked == 2
