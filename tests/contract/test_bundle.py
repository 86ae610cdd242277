"""The worker's bundle, run as HTCondor does (`bash -s NAME`), with a real scheduler behind an SNI proxy."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import distributed
import pytest
from distributed import KilledWorker

from htcdask_operator.condor.worker.bundle import render
from htcdask_operator.core.actions import Bundle
from htcdask_operator.core.workers import log_tail
from tests.builders import make_policy
from tests.contract.cluster import SNI, Cluster, dask_cluster

PLAIN = Bundle(
    scheduler="",
    sni=SNI,
    threads=1,
    memory_limit=500 * 2**20,
    nanny=True,
    death_timeout=30,
    lifetime=None,
    worker_ports=None,
    nanny_ports=None,
    retire_seconds=15,
    close_seconds=2.5,
    environment=(("GREETING", 'it\'s $HOME; "two"\nlines'), ("OMP_NUM_THREADS", "3")),
    resources=(("GPU", 1), ("SLOT", 0.5)),
)
nanny_or_not = pytest.mark.parametrize("nanny", [True, False], ids=["nanny", "no-nanny"])


class Worker:
    """One running bundle."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def output(self) -> str:
        """What it printed, once it has ended."""
        assert self.process.stdout is not None
        return (await self.process.stdout.read()).decode()


@asynccontextmanager
async def running(
    bundle: Bundle, cluster: Cluster, name: str, scratch: Path, connects_at: int = 0
) -> AsyncIterator[Worker]:
    """The bundle as a job's process; killed at the end if it still runs."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "_CONDOR_SCRATCH_DIR": str(scratch),
        "HOME": str(scratch),
    }
    process = await asyncio.create_subprocess_exec(
        *("bash", "-s", name, str(connects_at)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(
        render(
            replace(bundle, scheduler=bundle.scheduler or cluster.address), cluster.certificate, cluster.key
        )
    )
    await process.stdin.drain()
    process.stdin.close()
    try:
        yield Worker(process)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def environment_of(*names: str) -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in names}


def ask_for_a_power() -> int:
    with distributed.worker_client() as client:
        return int(client.submit(pow, 2, 10).result())


def sleep_after_saying_so() -> None:
    distributed.Event("busy").set()
    time.sleep(600)


def grow() -> int:
    hoard = []
    for _ in range(100):
        hoard.append(b"x" * (20 * 2**20))
    return len(hoard)


@nanny_or_not
async def test_connects_by_name_and_computes(tmp_path: Path, nanny: bool) -> None:
    async with (
        dask_cluster(tmp_path) as cluster,
        running(replace(PLAIN, nanny=nanny), cluster, "w1", tmp_path),
    ):
        await cluster.client.wait_for_workers(1)
        (worker,) = cluster.scheduler.workers.values()
        assert worker.name == "w1"
        assert (worker.nthreads, worker.memory_limit) == (1, 500 * 2**20)
        assert worker.resources == {"GPU": 1, "SLOT": 0.5}
        seen = await cluster.client.submit(environment_of, "GREETING", "OMP_NUM_THREADS", pure=False)
        assert seen == dict(PLAIN.environment)


@nanny_or_not
async def test_hands_its_data_over_on_sigterm_and_leaves_nothing(tmp_path: Path, nanny: bool) -> None:
    bundle = replace(PLAIN, nanny=nanny)
    scratches = [tmp_path / "w1", tmp_path / "w2"]
    for scratch in scratches:
        scratch.mkdir()
    async with (
        dask_cluster(tmp_path) as cluster,
        running(bundle, cluster, "w1", scratches[0]) as first,
        running(bundle, cluster, "w2", scratches[1]),
    ):
        await cluster.client.wait_for_workers(2)
        kept = [await cluster.client.scatter(number, workers=["w1"], hash=False) for number in range(6)]
        computed = cluster.client.submit(pow, 2, 10, workers=["w1"])
        await computed
        first.process.terminate()
        assert await asyncio.wait_for(first.process.wait(), 20) == 0
        assert await cluster.client.gather(kept) == list(range(6))
        assert await computed == 1024
        output = await first.output()
        assert output.startswith("htcdask: worker w1 on ") and " ended with 0; its last lines:\n" in output
        assert "PRIVATE KEY" not in output
        assert list(scratches[0].glob("htcdask.*")) == []


@nanny_or_not
async def test_a_busy_worker_hands_over_and_goes_before_it_would_be_killed(
    tmp_path: Path, nanny: bool
) -> None:
    bundle = replace(PLAIN, nanny=nanny)
    async with (
        dask_cluster(tmp_path) as cluster,
        running(bundle, cluster, "w1", tmp_path) as first,
        running(bundle, cluster, "w2", tmp_path),
    ):
        await cluster.client.wait_for_workers(2)
        kept = await cluster.client.scatter("data", workers=["w1"], hash=False)
        busy = cluster.client.submit(sleep_after_saying_so, workers=["w1"], pure=False)
        await distributed.Event("busy", cluster.client).wait()
        first.process.terminate()
        assert await asyncio.wait_for(first.process.wait(), make_policy().vacate_seconds) == 0
        assert await kept == "data"
        await busy.cancel()


@nanny_or_not
async def test_a_task_may_be_a_client_itself(tmp_path: Path, nanny: bool) -> None:
    async with (
        dask_cluster(tmp_path) as cluster,
        running(replace(PLAIN, nanny=nanny, threads=2), cluster, "w1", tmp_path),
    ):
        assert await asyncio.wait_for(cluster.client.submit(ask_for_a_power), 60) == 1024


async def test_a_client_restarts_the_worker_inside_its_job(tmp_path: Path) -> None:
    async with dask_cluster(tmp_path) as cluster, running(PLAIN, cluster, "w1", tmp_path) as worker:
        await cluster.client.wait_for_workers(1)
        before = await cluster.client.submit(os.getpid, pure=False)
        await cluster.client.restart(timeout=30)
        assert await cluster.client.submit(os.getpid, pure=False) != before
        assert worker.process.returncode is None


async def test_its_nanny_restarts_a_worker_that_exceeds_its_memory(tmp_path: Path) -> None:
    small = replace(PLAIN, memory_limit=300 * 2**20)
    async with dask_cluster(tmp_path) as cluster, running(small, cluster, "w1", tmp_path) as worker:
        await cluster.client.wait_for_workers(1)
        cluster.scheduler.allowed_failures = 0
        with pytest.raises(KilledWorker):
            await cluster.client.submit(grow)
        assert await cluster.client.submit(pow, 2, 3) == 8
        assert worker.process.returncode is None


async def test_says_why_it_failed(tmp_path: Path) -> None:
    wrong = replace(PLAIN, environment=(("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "soon"),))
    async with dask_cluster(tmp_path) as cluster, running(wrong, cluster, "w1", tmp_path) as worker:
        output = await asyncio.wait_for(worker.output(), 60)
        assert await worker.process.wait() == 1
        assert output.startswith("htcdask: worker w1 on ")
        assert "distributed" in output
        assert "PRIVATE KEY" not in output


async def test_its_key_is_in_no_argument_and_no_environment(tmp_path: Path) -> None:
    async with dask_cluster(tmp_path) as cluster, running(PLAIN, cluster, "w1", tmp_path) as worker:
        await cluster.client.wait_for_workers(1)
        shown = arguments_and_environments(worker.process.pid)
        assert len(shown) >= 3  # bash, nanny, worker
        assert not any(cluster.key.splitlines()[1].encode() in text for text in shown)
        assert modes_of_the_key(tmp_path) == (0o600, 0o700)


def arguments_and_environments(session: int) -> list[bytes]:
    entries = [entry for entry in Path("/proc").glob("[0-9]*") if _session(entry) == session]
    return [(entry / "cmdline").read_bytes() + (entry / "environ").read_bytes() for entry in entries]


def modes_of_the_key(scratch: Path) -> tuple[int, int]:
    (secret,) = scratch.glob("htcdask.*/dask.pem")
    return secret.stat().st_mode & 0o777, secret.parent.stat().st_mode & 0o777


def _session(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[3])
    except (FileNotFoundError, ProcessLookupError):
        return -1


HOSTILE = {
    "work": "/nowhere",
    "name": "gpu",
    "program": "/bin/true",
    "scheduler": "tls://127.0.0.1:1",
    "options": "--no-nanny",
    "secrets": "/nowhere",
    "child": "1",
    "PATH": "/nowhere",
    "IFS": "/",
    "BASH_ENV": "/nowhere",
    "SHELLOPTS": "xtrace",
    "LD_PRELOAD": "/nowhere.so",
    "TMPDIR": "/nowhere",
    "HOSTNAME": "nowhere",
    "UID": "7",
    "HTCDASK_SCHEDULER_SNI": "daskgateway-gateway.another",
    "DASK_SCHEDULER_ADDRESS": "tls://127.0.0.1:1",
    "DASK_DISTRIBUTED__NANNY__ENVIRON__HTCDASK_SCHEDULER_SNI": "daskgateway-gateway.another",
    "DASK_DISTRIBUTED__WORKER__MEMORY__SPILL": "0.5",
}


def forget_the_scheduler_s_name() -> None:
    os.environ.pop("HTCDASK_SCHEDULER_SNI")


@nanny_or_not
async def test_a_user_s_variables_are_the_tasks_and_change_nothing_else(tmp_path: Path, nanny: bool) -> None:
    bundle = replace(PLAIN, nanny=nanny, threads=2, environment=tuple(HOSTILE.items()))
    async with dask_cluster(tmp_path) as cluster, running(bundle, cluster, "w1", tmp_path) as worker:
        await cluster.client.wait_for_workers(1)
        assert {worker.name for worker in cluster.scheduler.workers.values()} == {"w1"}
        names = [name for name in HOSTILE if name != "HTCDASK_SCHEDULER_SNI"]
        seen = await cluster.client.submit(environment_of, *names, pure=False)
        assert seen == {name: HOSTILE[name] for name in names}
        await cluster.client.submit(forget_the_scheduler_s_name, pure=False)
        assert await asyncio.wait_for(cluster.client.submit(ask_for_a_power), 60) == 1024
        worker.process.terminate()
        assert await asyncio.wait_for(worker.process.wait(), 20) == 0
        assert not await asyncio.to_thread(lambda: list(tmp_path.glob("htcdask.*")))


@nanny_or_not
async def test_a_worker_retires_by_its_time_and_its_successor_comes_when_it_has_gone(
    tmp_path: Path, nanny: bool
) -> None:
    bundle = replace(PLAIN, nanny=nanny)
    old = replace(bundle, lifetime=20)  # as short as it is, without a stagger
    together = 0
    async with (
        dask_cluster(tmp_path) as cluster,
        running(bundle, cluster, "stays", tmp_path),
        running(old, cluster, "old", tmp_path) as retiring,
    ):
        retires = time.time() + 20
        async with running(bundle, cluster, "new", tmp_path, math.ceil(retires) + 5) as successor:
            await cluster.client.wait_for_workers(2)
            (address,) = [address for address, its in cluster.scheduler.workers.items() if its.name == "old"]
            kept = await cluster.client.scatter({"data": 42}, workers=[address])
            while not any(its.name == "new" for its in cluster.scheduler.workers.values()):
                together = max(together, len(cluster.scheduler.workers))
                assert successor.process.returncode is None
                await asyncio.sleep(0.05)
            assert together == 2, "the scheduler never had one too many"
            assert await asyncio.wait_for(retiring.process.wait(), 10) == 0
            assert await kept["data"] == 42
            assert {its.name for its in cluster.scheduler.workers.values()} == {"stays", "new"}


async def test_a_worker_whose_data_nobody_can_take_tries_again_for_as_long_as_the_site_gives(
    tmp_path: Path,
) -> None:
    old = replace(PLAIN, lifetime=16, nanny=False)
    asked: Counter[str] = Counter()
    async with (
        dask_cluster(tmp_path) as cluster,
        running(replace(PLAIN, nanny=False), cluster, "stays", tmp_path),
        running(old, cluster, "later", tmp_path) as later,
        running(replace(old, retire_seconds=8), cluster, "never", tmp_path) as never,
    ):
        await cluster.client.wait_for_workers(3)
        retire = cluster.scheduler.handlers["retire_workers"]

        async def while_others_are_full(*args: object, workers: list[str], **options: object) -> object:
            name = str(cluster.scheduler.workers[workers[0]].name)
            asked[name] += 1
            if name == "never" or asked[name] < 3:
                return {}  # as the scheduler says it
            return await retire(*args, workers=workers, **options)

        cluster.scheduler.handlers["retire_workers"] = while_others_are_full
        kept = await cluster.client.scatter("data", workers=["later"], hash=False)
        assert await asyncio.wait_for(never.process.wait(), 60) == 0
        assert "Nobody took its data in 8 s" in await never.output()
        assert await asyncio.wait_for(later.process.wait(), 60) == 0
        assert await kept == "data"
    assert asked == {"never": 2, "later": 3}


async def test_a_worker_that_its_nanny_restarts_retires_when_it_would_have(tmp_path: Path) -> None:
    began = time.time()
    async with (
        dask_cluster(tmp_path) as cluster,
        running(replace(PLAIN, lifetime=16), cluster, "w1", tmp_path) as worker,
    ):
        await cluster.client.wait_for_workers(1)
        await asyncio.sleep(max(0.0, began + 8 - time.time()))
        await cluster.client.restart(timeout=30)
        await cluster.client.wait_for_workers(1)
        assert worker.process.returncode is None
        assert await asyncio.wait_for(worker.process.wait(), 20) == 0
        assert 14 <= time.time() - began <= 22


PRELOAD = """
import os, distributed
def dask_setup(server):
    os.environ["SEEN_BY_NAME"] = type(server).__name__
    open("{folder}/" + type(server).__name__, "a").write("up ")
def dask_teardown(server):
    open("{folder}/" + type(server).__name__, "a").write("down ")
"""


def told_by(server: str, folder: Path) -> str:
    file = folder / server
    return file.read_text() if file.exists() else ""


@nanny_or_not
@pytest.mark.parametrize("listed", [False, True], ids=["name", "list"])
async def test_preloads_of_the_user_run_beside_ours(tmp_path: Path, nanny: bool, listed: bool) -> None:
    file = tmp_path / "its_preload.py"
    file.write_text(PRELOAD.format(folder=tmp_path))
    value = f"['{file}']" if listed else str(file)
    variables = {f"DASK_DISTRIBUTED__{server}__PRELOAD": value for server in ("WORKER", "NANNY")}
    bundle = replace(PLAIN, nanny=nanny, threads=2, environment=tuple(variables.items()))
    async with dask_cluster(tmp_path) as cluster, running(bundle, cluster, "w1", tmp_path) as worker:
        await cluster.client.wait_for_workers(1)
        assert await cluster.client.submit(os.getenv, "SEEN_BY_NAME") == "Worker"
        assert (told_by("Worker", tmp_path), told_by("Nanny", tmp_path)) == ("up ", "up " if nanny else "")
        # Ours: the proxy wants its name, and SIGTERM is graceful.
        assert await asyncio.wait_for(cluster.client.submit(ask_for_a_power), 60) == 1024
        worker.process.terminate()
        assert await asyncio.wait_for(worker.process.wait(), 20) == 0
        # A nanny that closes may end the process of its worker before that ends its preloads, as in Dask.
        assert told_by("Worker", tmp_path) in (("up ", "up down ") if nanny else ("up down ",))
        assert told_by("Nanny", tmp_path) == ("up down " if nanny else "")


NAMESAKE = """
def dask_setup(server):
    open("{folder}/" + type(server).__name__, "a").write("{whose} up ")
def dask_teardown(server):
    open("{folder}/" + type(server).__name__, "a").write("{whose} down ")
    if "{whose}" == "user":
        raise RuntimeError("no good end")
"""


@nanny_or_not
async def test_a_user_s_preload_of_the_same_name_does_not_stand_in_for_the_site_s(
    tmp_path: Path, nanny: bool
) -> None:
    files = {}
    for whose in ("site", "user"):
        (tmp_path / whose).mkdir()
        files[whose] = tmp_path / whose / "preload.py"
        files[whose].write_text(NAMESAKE.format(folder=tmp_path, whose=whose))
    variables = {f"DASK_DISTRIBUTED__{server}__PRELOAD": str(files["user"]) for server in ("WORKER", "NANNY")}
    site = (str(files["site"]),)
    bundle = replace(PLAIN, nanny=nanny, environment=tuple(variables.items()))
    bundle = replace(bundle, worker_preload=site, nanny_preload=site)
    async with dask_cluster(tmp_path) as cluster, running(bundle, cluster, "w1", tmp_path) as worker:
        await cluster.client.wait_for_workers(1)
        begun = "site up user up "
        assert told_by("Worker", tmp_path) == begun
        assert told_by("Nanny", tmp_path) == (begun if nanny else "")
        worker.process.terminate()
        assert await asyncio.wait_for(worker.process.wait(), 20) == 0
        ended = begun + "user down site down "
        assert told_by("Worker", tmp_path) in ((begun, ended) if nanny else (ended,))
        assert told_by("Nanny", tmp_path) == (ended if nanny else "")


@pytest.mark.parametrize(
    ("nanny", "server"), [(True, "WORKER"), (True, "NANNY"), (False, "WORKER")], ids=lambda value: str(value)
)
async def test_a_preload_that_is_not_there_ends_the_worker_and_is_the_cause(
    tmp_path: Path, nanny: bool, server: str
) -> None:
    missing = ((f"DASK_DISTRIBUTED__{server}__PRELOAD", "no_such_module"),)
    bundle = replace(PLAIN, nanny=nanny, environment=missing)
    async with dask_cluster(tmp_path) as cluster, running(bundle, cluster, "w1", tmp_path) as worker:
        output = await asyncio.wait_for(worker.output(), 60)
        assert await worker.process.wait() == 1
        assert log_tail.of(output).cause == "ModuleNotFoundError: No module named 'no_such_module'"


AMOUNTS = {
    "MEMORY": 8589934592.0,
    "ODD": 8589934593.0,
    "MOST": 1e12,
    "ALMOST": 999999999999.9999,
    "THIRD": 1 / 3,
    "TENTH": 0.1,
    "SMALL": 5e-324,
    "NONE": 0.0,
    "ONE": 1.0,
    "dotted.name-1": 123456789.0,
}


@nanny_or_not
async def test_the_resources_are_the_very_numbers(tmp_path: Path, nanny: bool) -> None:
    bundle = replace(PLAIN, nanny=nanny, resources=tuple(AMOUNTS.items()))
    async with dask_cluster(tmp_path) as cluster, running(bundle, cluster, "w1", tmp_path):
        await cluster.client.wait_for_workers(1)
        (worker,) = cluster.scheduler.workers.values()
        assert worker.resources == AMOUNTS
        assert await cluster.client.submit(pow, 2, 3, resources={"MEMORY": 8589934592}) == 8


@nanny_or_not
async def test_workers_and_nannies_listen_on_the_site_s_ports(tmp_path: Path, nanny: bool) -> None:
    first = free_ports(8)
    ports = f"{first}:{first + 3}", f"{first + 4}:{first + 7}"
    bundle = replace(PLAIN, nanny=nanny, worker_ports=ports[0], nanny_ports=ports[1])
    async with (
        dask_cluster(tmp_path) as cluster,
        running(bundle, cluster, "w1", tmp_path),
        running(bundle, cluster, "w2", tmp_path),
    ):
        await cluster.client.wait_for_workers(2)
        workers = list(cluster.scheduler.workers.values())
        assert {port_of(worker.address) for worker in workers} <= set(range(first, first + 4))
        if nanny:
            assert {port_of(worker.nanny) for worker in workers} <= set(range(first + 4, first + 8))
        assert await cluster.client.submit(pow, 2, 3) == 8


def free_ports(count: int) -> int:
    """The first of so many free ports in a row."""
    for first in range(20_000, 60_000, count):
        try:
            with ExitStack() as stack:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


@nanny_or_not
async def test_a_worker_ends_by_itself_when_its_life_is_over(tmp_path: Path, nanny: bool) -> None:
    short = replace(PLAIN, nanny=nanny, lifetime=8)
    async with (
        dask_cluster(tmp_path) as cluster,
        running(replace(PLAIN, nanny=nanny), cluster, "w2", tmp_path),
        running(short, cluster, "w1", tmp_path) as worker,
    ):
        await cluster.client.wait_for_workers(2)
        kept = await cluster.client.scatter("data", workers=["w1"], hash=False)
        assert await asyncio.wait_for(worker.process.wait(), 30) == 0
        assert await kept == "data"
        assert {worker.name for worker in cluster.scheduler.workers.values()} == {"w2"}


@pytest.mark.parametrize("_", range(3))  # it would close twice about every other time
async def test_the_last_worker_closes_once_though_it_is_told_late_that_it_stays(
    tmp_path: Path, _: int
) -> None:
    bundle = replace(PLAIN, nanny=False, retire_seconds=30, close_seconds=30)
    async with (
        dask_cluster(tmp_path) as cluster,
        running(bundle, cluster, "last", tmp_path) as worker,
    ):
        await cluster.client.wait_for_workers(1)
        assert await cluster.client.submit(pow, 2, 10) == 1024
        kept = await cluster.client.scatter("data", hash=False)
        assert kept.key in cluster.scheduler.tasks
        (address,) = cluster.scheduler.workers
        stream = cluster.scheduler.stream_comms[address]
        retire = cluster.scheduler.handlers["retire_workers"]
        late: list[asyncio.Task[None]] = []

        async def tell() -> None:
            while address in cluster.scheduler.workers:
                stream.send({"op": "worker-status-change", "status": "running", "stimulus_id": "late"})
                await asyncio.sleep(0.001)

        async def told_late(*args: object, **options: object) -> object:
            answer = await retire(*args, **options)
            late.append(asyncio.create_task(tell()))
            await asyncio.sleep(0.1)
            return answer

        cluster.scheduler.handlers["retire_workers"] = told_late
        worker.process.terminate()
        assert await asyncio.wait_for(worker.process.wait(), 10) == 0
        assert len(late) == 1, "it has asked, and nobody could take its data"
        assert (await worker.output()).count("Stopping worker at") == 1


async def test_sigterm_while_it_closes_after_its_time_does_not_keep_it(tmp_path: Path) -> None:
    short = replace(PLAIN, nanny=False, lifetime=8, retire_seconds=40, close_seconds=20)
    async with (
        dask_cluster(tmp_path) as cluster,
        running(replace(PLAIN, nanny=False), cluster, "stays", tmp_path),
        running(short, cluster, "old", tmp_path) as worker,
    ):
        await cluster.client.wait_for_workers(2)
        busy = cluster.client.submit(sleep_after_saying_so, workers=["old"], pure=False)
        await distributed.Event("busy", cluster.client).wait()
        for _ in range(3000):
            if len(cluster.scheduler.workers) == 1:
                break
            await asyncio.sleep(0.01)
        for _ in range(20):
            if worker.process.returncode is None:
                worker.process.terminate()
            await asyncio.sleep(0.05)
        # The last signals may find an interpreter that is about to end, and end it themselves.
        assert await asyncio.wait_for(worker.process.wait(), 20) in (0, 128 + signal.SIGTERM)
        await busy.cancel()


@nanny_or_not
async def test_the_time_to_hand_over_is_what_the_site_gives(tmp_path: Path, nanny: bool) -> None:
    """A scheduler that is slow to retire: a patient site keeps the data, an impatient one the deadline."""
    patient = replace(PLAIN, nanny=nanny, retire_seconds=30, close_seconds=5)
    impatient = replace(PLAIN, nanny=nanny, retire_seconds=1.5, close_seconds=0.25)
    async with (
        dask_cluster(tmp_path) as cluster,
        running(patient, cluster, "w1", tmp_path) as first,
        running(impatient, cluster, "w2", tmp_path) as second,
        running(patient, cluster, "w3", tmp_path),
    ):
        await cluster.client.wait_for_workers(3)
        retire = cluster.scheduler.handlers["retire_workers"]

        async def slowly(*args: object, **options: object) -> object:
            await asyncio.sleep(8)
            return await retire(*args, **options)

        cluster.scheduler.handlers["retire_workers"] = slowly
        kept = await cluster.client.scatter("data", workers=["w1"], hash=False)
        began = time.monotonic()
        first.process.terminate()
        second.process.terminate()
        assert await asyncio.wait_for(second.process.wait(), 8) == 0
        assert time.monotonic() - began < 8
        assert await asyncio.wait_for(first.process.wait(), 30) == 0
        assert time.monotonic() - began > 8
        assert await kept == "data"


def test_a_stream_that_ends_too_early_runs_nothing(tmp_path: Path) -> None:
    text = render(replace(PLAIN, scheduler="tls://x:1"), "certificate", "key").decode()
    assert text.rstrip().endswith('main "$@"\nexit')
    before = text.rpartition('main "$@"')[0]
    assert "\nmain" not in before.replace("\nmain() {", "")


def test_refuses_a_variable_that_is_none() -> None:
    with pytest.raises(ValueError, match="A-B") as refused:
        render(replace(PLAIN, environment=(("A-B", "a-token"),)), "certificate", "key")
    assert "a-token" not in str(refused.value)
