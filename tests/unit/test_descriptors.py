"""A process without file descriptors blames itself: no token, no access point, no API server."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from htcdask_operator import descriptors
from htcdask_operator.condor import token
from htcdask_operator.condor.errors import CondorRefused, CondorUnreachable
from htcdask_operator.condor.process import AgentProcess
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.requests import Requests
from htcdask_operator.scheduler import http

FULL = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
SAID = "the operator itself has no file descriptor left (this process may have "


class FullClient:
    async def param_serialize(self, *_: object, **__: object) -> tuple[()]:
        return ()

    async def call_api(self, *_: object, **__: object) -> None:
        raise OSError("cannot connect") from FULL


def test_only_that_kind_of_error_is_our_own() -> None:
    assert str(descriptors.exhausted(FULL)).startswith(SAID)
    assert "of the whole node" in str(descriptors.exhausted(OSError(errno.ENFILE, "")))
    for other in (OSError(errno.ECONNREFUSED, "refused"), OSError("text"), ValueError(24), None):
        assert descriptors.exhausted(other) is None


def test_a_token_that_cannot_be_opened_for_that_reason_is_not_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> str:
        raise FULL

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_text", full)
        with pytest.raises(CondorUnreachable, match="the operator itself has no file descriptor left"):
            token.read(tmp_path / "token", 0.0)
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", full)
        with pytest.raises(CondorUnreachable, match="the operator itself has no file descriptor left"):
            token.write(tmp_path / "folder", "x")


def test_a_token_that_cannot_be_read_for_another_reason_still_is(tmp_path: Path) -> None:
    with pytest.raises(CondorRefused, match="cannot be read: Is a directory"):
        token.read(tmp_path, 0.0)


async def test_an_agent_that_cannot_be_started_for_that_reason_is_not_htcondors_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object, **__: object) -> None:
        raise FULL

    monkeypatch.setattr("asyncio.create_subprocess_exec", full)
    agent = AgentProcess(("c", "s"), tmp_path / "scratch", {}, 5, lambda: 1e9)
    with pytest.raises(CondorUnreachable, match="the operator itself has no file descriptor left"):
        await agent.ask("identity")


async def test_neither_the_api_server_nor_a_scheduler_is_blamed() -> None:
    with pytest.raises(KubeError, match="the operator itself has no file descriptor left") as caught:
        await Requests(FullClient(), 5).send("GET", "/apis")
    assert "cannot be reached" not in str(caught.value)
    assert http._reason(FULL, 1).startswith(SAID)
