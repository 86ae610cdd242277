"""What the checks share: the gateway that is looked at, and what earlier checks have learnt of it.

`Case` is made by `examination`, and belongs to one run. `Fault` and `NotTried` are how a check ends otherwise
than well.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dask_gateway import Gateway

from htcdaskgateway._doctor.secrecy import masked

T = TypeVar("T")


class Fault(Exception):  # noqa: N818 (a finding, which its check raises)
    """Something is wrong; `remedy` says what to do about it."""

    def __init__(self, said: str, remedy: str) -> None:
        super().__init__(said)
        self.remedy = remedy


class NotTried(Exception):  # noqa: N818 (a finding, which its check raises)
    """The check could not be made, and nobody is to blame; its text follows "because"."""


@dataclass
class Case:
    """One run. What a check learns and a later one needs stands here."""

    make_gateway: Callable[..., Gateway]  # may refuse what is configured; takes `auth` instead of that
    probe: bool
    worker_seconds: float
    cluster_options: Mapping[str, Any]
    gateway: Gateway = field(init=False)  # from the check of the settings on
    no_credential: Exception | None = None  # why the gateway object has none
    secrets: set[str] = field(default_factory=set)
    clusters: Mapping[str, Any] = field(default_factory=dict)  # as the gateway lists them, by name
    extension: Mapping[str, Any] = field(default_factory=dict)  # what it says of itself
    submitting: asyncio.Task[str] | None = None  # the probe cluster
    cluster: str | None = None  # the probe cluster, or a running one of the user's
    report: Any = None  # of that cluster, with its certificate
    client: Any = None
    _deadline: float | None = None

    @property
    def has_gateway(self) -> bool:
        """Whether the settings could be read."""
        return hasattr(self, "gateway")

    def masked(self, text: str) -> str:
        """Somebody else's words, fit for printing."""
        return masked(text, self.secrets)

    @property
    def deadline(self) -> float:
        """The end of the probe's time, on the loop's clock; it begins to run when it is asked for."""
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self.worker_seconds
        return self._deadline


async def in_thread(function: Callable[[], T]) -> T:
    """`function()` where it may block; who waits may give up, and neither loop nor process waits for its end.

    The loop's own executor is joined when the process ends, for as long as a name server takes.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if answer.cancelled():
            return
        if error is None:
            answer.set_result(value)
        else:
            answer.set_exception(error)

    def run() -> None:
        value, error = None, None
        try:
            value = function()
        except Exception as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, name="htcdask-doctor", daemon=True).start()
    return await answer
