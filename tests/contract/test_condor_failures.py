"""What a real HTCondor and its network do wrong, and what the person who runs the operator is told."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from htcdask_operator.condor import token
from htcdask_operator.condor.access_point import AccessPoint
from htcdask_operator.condor.client import CondorClient
from htcdask_operator.condor.errors import (
    CondorNotAsked,
    CondorRefused,
    CondorTimeout,
    CondorUnreachable,
    SubmitRefused,
    SubmitTooLate,
)
from htcdask_operator.condor.private_folder import PrivateFolder
from htcdask_operator.core.submit import descriptions, spooled
from htcdask_operator.uptime import uptime
from playground.condor.bare import BarePool
from tests.builders import make_cluster, make_policy, make_pool, make_template
from tests.contract.labs import remove_jobs, silent_schedd

Connect = Callable[..., CondorClient]

_numbers = count(1)

_ASKING = """
import asyncio, pathlib, sys
from htcdask_operator.condor.access_point import AccessPoint
from htcdask_operator.condor.client import CondorClient

async def main():
    agent = CondorClient(AccessPoint("killed", sys.argv[1], "ap@condor", pathlib.Path(sys.argv[2])))
    asking = asyncio.create_task(agent.whoami())
    await agent.asking.wait()
    print(agent.pid, flush=True)
    await asking

asyncio.run(main())
"""


@pytest.fixture
def operator_id(bare_pool: BarePool) -> Iterator[str]:
    """An operator that no other test has heard of; none of its jobs outlives the test."""
    made = f"failures-{next(_numbers)}"
    yield made
    remove_jobs(bare_pool, made)


@pytest.fixture
async def connect(bare_pool: BarePool, operator_id: str, tmp_path: Path) -> AsyncIterator[Connect]:
    """Make an agent; say only what is unusual about its access."""
    agents: list[CondorClient] = []
    good = tmp_path / "token"
    good.write_text(bare_pool.token("dask"))

    def made(
        collector: str = bare_pool.address,
        schedd: str = bare_pool.schedd,
        token_file: Path = good,
        deadline: float = 20.0,
        valid_until: Callable[[], float] = lambda: math.inf,
    ) -> CondorClient:
        access = AccessPoint(operator_id, collector, schedd, token_file, deadline=deadline, log_deadline=2.0)
        agents.append(CondorClient(access, valid_until))
        return agents[-1]

    yield made
    for agent in agents:
        await agent.close()


@contextmanager
def stopped_schedd(pool: BarePool) -> Iterator[None]:
    """Nobody listens on the schedd's port."""
    pool.stop_schedd()
    try:
        yield
    finally:
        pool.start_schedd()


async def submit(agent: CondorClient) -> str:
    policy = make_policy(operator_id=agent._access.operator_id)
    return await agent.submit_anchor(
        descriptions.anchor(make_pool(), make_cluster(), make_template(), "hash", policy, time.time()),
        b"a secret key",
    )


async def test_a_wrong_schedd_name_lists_the_right_ones(connect: Connect) -> None:
    with pytest.raises(CondorUnreachable, match=r"knows no schedd named 'nope'; it knows: ap@condor"):
        await connect(schedd="nope").jobs()


async def test_a_collector_that_is_not_there(connect: Connect) -> None:
    with pytest.raises(CondorUnreachable, match=r"no connection to the collector 127\.0\.0\.1:1 "):
        await connect(collector="127.0.0.1:1").jobs()


@pytest.mark.parametrize("where", ["127.0.0.1:1,{address}", "{address},127.0.0.1:1", "[::1]:1,{address}"])
async def test_one_of_several_collectors_is_enough(connect: Connect, bare_pool: BarePool, where: str) -> None:
    for _ in range(5):  # HTCondor begins with any of them
        assert (
            await connect(collector=where.format(address=bare_pool.address)).whoami() == "dask@htcdask.test"
        )


async def test_if_no_collector_is_there_each_failure_is_told(connect: Connect) -> None:
    with pytest.raises(CondorUnreachable, match=r"127\.0\.0\.1:1,\[::1\]:1 \(.*refused; .*refused\)"):
        await connect(collector="127.0.0.1:1,[::1]:1").jobs()


async def test_a_collector_that_never_answers(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hole:
        agent = connect(collector=f"127.0.0.1:{hole.getsockname()[1]}", deadline=2.0)
        began = time.monotonic()
        with pytest.raises(CondorTimeout, match="not answered for 2 s"):
            await agent.jobs()
        assert time.monotonic() - began < 4


async def test_a_schedd_that_never_answers_and_then_does(connect: Connect, bare_pool: BarePool) -> None:
    agent = connect(deadline=3.0)
    assert await agent.jobs() == ()
    first = agent.pid
    with silent_schedd(bare_pool):
        began = time.monotonic()
        # The loop goes on meanwhile, and nobody waits for longer because others were there first.
        answers = await asyncio.gather(agent.jobs(), submit(agent), agent.jobs(), return_exceptions=True)
        assert [type(answer) for answer in answers] == [CondorTimeout, CondorNotAsked, CondorNotAsked]
        assert time.monotonic() - began < 5
    assert agent.pid is None and first is not None and not exists(first)
    assert await agent.whoami() == "dask@htcdask.test"


async def test_an_agent_that_is_killed_is_started_again(connect: Connect, bare_pool: BarePool) -> None:
    agent = connect()
    await agent.whoami()
    assert agent.pid is not None
    with silent_schedd(bare_pool):
        asking = asyncio.create_task(agent.jobs())
        await agent.asking.wait()
        os.kill(agent.pid, signal.SIGKILL)
        with pytest.raises(CondorUnreachable, match="ended during query"):
            await asking
    assert await agent.jobs() == ()


async def test_a_cancelled_question_does_not_answer_the_next(connect: Connect, bare_pool: BarePool) -> None:
    agent = connect()
    await agent.whoami()
    with silent_schedd(bare_pool):
        asking = asyncio.create_task(agent.jobs())
        await agent.asking.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert await agent.whoami() == "dask@htcdask.test"


async def test_a_schedd_that_was_restarted(connect: Connect, bare_pool: BarePool) -> None:
    agent = connect()
    job = await submit(agent)
    with stopped_schedd(bare_pool), pytest.raises(CondorUnreachable, match="ap@condor"):
        await agent.jobs()
    assert [job.id for job in await agent.jobs()] == [job]


async def test_after_a_restart_of_the_schedd_each_worker_comes_once(
    connect: Connect, bare_pool: BarePool
) -> None:
    """The first try may be refused, as the schedd does not know our session any more."""
    agent = connect()
    policy = make_policy(operator_id=agent._access.operator_id)
    described = descriptions.workers(
        make_pool(), make_cluster(), make_template(requirements="false"), "hash", "", policy, time.time()
    )
    own = spooled.described(described)
    before = await agent.spool_workers(own, ["a1"], b"a secret key")
    with stopped_schedd(bare_pool):
        pass
    made = await agent.spool_workers(own, ["a2", "a3"], b"a secret key")
    assert {job.id: job.worker for job in await agent.jobs()} == {
        before[0]: "a1",
        made[0]: "a2",
        made[1]: "a3",
    }
    await agent.remove([*before, *made], "the end of the test")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist: put an IDTOKEN"),
        ("", "is empty: put an IDTOKEN"),
        ("password", "does not hold an IDTOKEN"),
        ("a.b.c", "does not hold an IDTOKEN"),
        ("\N{SNOWMAN}", "does not hold an IDTOKEN"),
    ],
)
async def test_a_token_that_is_none(connect: Connect, tmp_path: Path, content: str | None, said: str) -> None:
    file = tmp_path / "bad"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(CondorRefused, match=said):
        await connect(token_file=file).whoami()


async def test_a_token_that_cannot_be_read(connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(CondorRefused, match="cannot be read: Is a directory"):
        await connect(token_file=tmp_path).whoami()


async def test_an_expired_token(bare_pool: BarePool, tmp_path: Path) -> None:
    file = tmp_path / "short"
    file.write_text(bare_pool.token("dask", lifetime=60))
    assert token.read(file, time.time())
    with pytest.raises(CondorRefused, match=r"expired at 20\d\d-.*replace the Secret"):
        token.read(file, time.time() + 61)


async def test_a_forged_token(connect: Connect, bare_pool: BarePool, tmp_path: Path) -> None:
    file = tmp_path / "forged"
    good = bare_pool.token("dask")
    file.write_text(good[:-8] + good[-8:][::-1])
    with pytest.raises(CondorRefused, match="does not accept the operator's token"):
        await connect(token_file=file).whoami()


async def test_a_token_that_may_not_write(connect: Connect, bare_pool: BarePool, tmp_path: Path) -> None:
    file = tmp_path / "reader"
    file.write_text(bare_pool.token("dask", "READ"))
    agent = connect(token_file=file)
    with pytest.raises(CondorRefused, match="good for READ and WRITE"):
        await agent.whoami()
    with pytest.raises(CondorRefused, match="good for READ and WRITE"):
        await submit(agent)


async def test_an_identity_without_an_account(connect: Connect, bare_pool: BarePool, tmp_path: Path) -> None:
    file = tmp_path / "ghost"
    file.write_text(bare_pool.token("ghost"))
    with pytest.raises(SubmitRefused, match="not a valid OS account"):
        await submit(connect(token_file=file))


async def test_a_rotated_token_is_used_at_once(connect: Connect, bare_pool: BarePool, tmp_path: Path) -> None:
    file = tmp_path / "rotating"
    file.write_text(bare_pool.token("dask"))
    agent = connect(token_file=file)
    assert await agent.whoami() == "dask@htcdask.test"
    file.write_text(bare_pool.token("bob"))
    job = await submit(agent)
    assert bare_pool.run("condor_q", "-allusers", job, "-af", "User").strip() == "bob@htcdask.test"
    await agent.remove([job], "the end of the test")


async def test_bytes_that_are_no_text_hide_no_job(connect: Connect, bare_pool: BarePool) -> None:
    agent = connect()
    job = await submit(agent)
    bare_pool.run("condor_qedit", job, "HTCDaskUser", '"a\udcffb"')
    (seen,) = await agent.jobs()
    assert (seen.id, seen.user) == (job, "a\N{REPLACEMENT CHARACTER}b")


async def test_the_key_lies_in_the_anchors_private_directory_only(
    connect: Connect, bare_pool: BarePool, tmp_path: Path
) -> None:
    agent = connect()
    job = await submit(agent)
    (anchor,) = await agent.jobs()
    assert bare_pool.run("stat", "-c", "%a %U", f"{anchor.iwd}/bundle.sh", str(anchor.iwd)).split() == [
        *("600", "dask"),
        *("700", "dask"),
    ]
    assert "a secret key" not in bare_pool.run("condor_q", "-allusers", "-l", job)
    await agent.logs(job, ["w1"])
    assert files_with(b"a secret key", agent.folder) == []
    await agent.remove([job], "the end of the test")


async def test_logs_have_a_lane_of_their_own(connect: Connect) -> None:
    agent = connect()
    job = await submit(agent)
    assert agent._logs.pid is None  # only when it is needed
    assert await agent.logs(job, ["w1"]) == {}
    assert agent._logs.pid is not None
    os.kill(agent._logs.pid, signal.SIGSTOP)
    began = time.monotonic()
    asking = [asyncio.create_task(agent.logs(job, ["w1"])) for _ in range(3)]
    await agent._logs.asking.wait()
    assert [found.id for found in await agent.jobs()] == [job]
    await agent.remove([job], "the end of the test")
    assert time.monotonic() - began < 1.5
    assert {type(answer) for answer in await asyncio.gather(*asking, return_exceptions=True)} == {
        CondorTimeout,
        CondorNotAsked,
    }
    assert time.monotonic() - began < 5
    assert agent.pid is not None and agent._logs.pid is None
    assert await agent.logs(job, ["w1"]) == {}


async def test_a_rotated_token_does_not_wait_for_logs(
    connect: Connect, bare_pool: BarePool, tmp_path: Path
) -> None:
    file = tmp_path / "rotating"
    file.write_text(bare_pool.token("dask"))
    agent = connect(token_file=file)
    job = await submit(agent)
    await agent.logs(job, ["w1"])
    assert agent._logs.pid is not None
    os.kill(agent._logs.pid, signal.SIGSTOP)
    another = bare_pool.token("bob")
    asking = asyncio.create_task(agent.logs(job, ["w1"]))
    await agent._logs.asking.wait()
    file.write_text(another)
    assert await agent.whoami() == "bob@htcdask.test"
    with pytest.raises(CondorUnreachable, match="ended during retrieve"):
        await asking
    assert await agent.logs(job, ["w1"]) == {}, "as bob, whose job it is not"


def test_the_agent_ends_with_its_operator_and_the_next_operator_wipes_its_folder(
    bare_pool: BarePool, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(bare_pool.token("dask"))
    with socket.create_server(("127.0.0.1", 0)) as hole:
        where = [f"127.0.0.1:{hole.getsockname()[1]}", str(tmp_path / "token")]
        with subprocess.Popen(
            [sys.executable, "-c", _ASKING, *where],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        ) as operator:
            assert operator.stdout is not None
            agent = int(operator.stdout.readline())
            hole.accept()  # it is in the middle of a call that never ends, and holds the GIL
            operator.kill()
        deadline = time.monotonic() + 5
        while exists(agent):
            assert time.monotonic() < deadline, "it goes on"
            time.sleep(0.02)
    assert len(list(tmp_path.glob("htcdask-condor-*"))) == 1
    PrivateFolder(tmp_path).close()
    assert list(tmp_path.glob("htcdask-condor-*")) == []


async def test_the_agent_is_small_and_leaves_nothing(connect: Connect) -> None:
    agent = connect()
    await agent.jobs()
    assert agent.pid is not None
    assert resident_mib(agent.pid) < 40
    assert "OPERATOR_SECRET" not in environment(agent.pid)
    pid, folder = agent.pid, agent.folder
    await agent.close()
    assert not exists(pid) and files_with(b"", folder) == []


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def files_with(text: bytes, folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def environment(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text()


@pytest.fixture(autouse=True)
def _operator_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATOR_SECRET", "hush")


async def test_after_the_lease_nothing_is_submitted_and_everything_else_goes_on(connect: Connect) -> None:
    ends = uptime() + 60
    agent = connect(valid_until=lambda: ends)
    policy = make_policy(operator_id=agent._access.operator_id)
    described = descriptions.anchor(make_pool(), make_cluster(), make_template(), "hash", policy, time.time())
    anchor = await agent.submit_anchor(described, b"a secret key")
    ends = uptime() - 2
    with pytest.raises(SubmitTooLate, match=r"nothing was submitted to ap@condor.*over for 2\.\d s"):
        await agent.submit_anchor(described, b"a secret key")
    with pytest.raises(SubmitTooLate):
        await agent.submit_workers(described, ["a1", "a2"])
    brought = spooled.described({**described, "arguments": '"-p -s $(wname)"'})
    with pytest.raises(SubmitTooLate):
        await agent.spool_workers(brought, ["a1", "a2"], b"a secret key")
    assert [job.id for job in await agent.jobs()] == [anchor]
    await agent.remove([anchor], "the end of the test")


async def test_a_submit_that_the_schedd_was_asked_for_too_late_is_refused_by_the_agent(
    connect: Connect,
) -> None:
    """The agent itself looks at the clock: it was in time when it was asked."""
    ends = math.inf
    agent = connect(valid_until=lambda: ends)
    await agent.whoami()
    assert agent.pid is not None
    os.kill(agent.pid, signal.SIGSTOP)
    ends = uptime() + 1
    submitting = asyncio.create_task(submit(agent))
    await agent.asking.wait()
    await asyncio.sleep(1.1)  # it is the clock itself that the test is about
    os.kill(agent.pid, signal.SIGCONT)
    with pytest.raises(SubmitTooLate):
        await submitting
    assert await agent.jobs() == ()
