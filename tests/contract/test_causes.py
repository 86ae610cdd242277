"""Ten usual causes of a pool without workers, and an image that lacks a library, made on a real HTCondor.

What the pool says, and when: by the operator's whole loop (`shell`: Kubernetes and the scheduler are fakes),
as the pool's status says it. Causes that leave each other alone stand side by side.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from dask_gateway_server.tls import new_keypair

from htcdask_operator.core.model import Job, JobStatus
from htcdask_operator.kube.port import Credentials
from playground.build import worker_image
from playground.condor.bare import BarePool
from tests.builders import IMAGE
from tests.contract.labs import PAYLOAD, silent_schedd
from tests.contract.shell import Operator, Shell, is_held

_PATIENCE: Final = 60.0
FACTOR: Final = ("condor_userprio", "-setfactor")
NEVER: Final = (
    "executable = /bin/sleep\narguments = 1\nrequest_memory = 1\nrequest_disk = 1\n"
    "transfer_executable = false\nrequirements = false\nqueue\n"
)
SETTINGS: Final = "GROUP_NAMES = group_physics\nGROUP_QUOTA_group_physics = 1\nGROUP_ACCEPT_SURPLUS = False\n"
TREE: Final = "/images"
NO_APPTAINER: Final = "SINGULARITY = /nowhere/apptainer\n"


@dataclass(frozen=True)
class Cause:
    """How a pool comes to have no workers, and what it says then: the cause, and what to do."""

    name: str
    cause: str
    remedy: str
    template: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    payload: bytes | None = PAYLOAD  # None: a real worker
    workers: int = 1
    first_runs: bool = False  # the cause is there for those that come after it
    seconds: float = 30.0


CAUSES: Final = (
    Cause(
        "impossible memory",
        "4 TiB of memory are asked for, and the largest has 2 TiB",
        "ask for less",
        template={"memory": "4Ti"},
    ),
    Cause(
        "bad image path",
        "could not open image /cvmfs/nowhere/typo:latest",
        "Is the image's name right, is it there",
        template={"containerImage": "/cvmfs/nowhere/typo:latest"},
    ),
    Cause(
        "refused image",
        "The image /home/alice/image would be a folder of the execute node",
        "Unpacked images may be below /cvmfs",
        template={"containerImage": "/home/alice/image"},
    ),
    Cause(
        "pool full",
        "none has room now",
        "Smaller ones find room sooner",
        template={"cores": 400},
        workers=2,
    ),
    Cause(
        "fair share",
        "with idle jobs and a better priority (condor_userprio) come",
        "this one's improves while fewer of its jobs run",
        template={"cores": 400},
        workers=2,
    ),
    Cause(
        "quota",
        "the accounting group group_physics has 1 of its quota of 1",
        "Who needs more asks the site",
        settings={"accounting_group": "group_physics"},
        workers=2,
        first_runs=True,
    ),
    Cause(
        "wrong port",
        "The worker runs and is still to connect",
        "can execute nodes reach 127.0.0.1:1, by name and port?",
        settings={"scheduler_address": "127.0.0.1:1"},
        payload=None,
    ),
    Cause(
        "missing library",
        "libssl.so.3: cannot open shared object file",
        "`dask worker` cannot be loaded",
        template={"containerImage": f"{TREE}/no-library"},
        settings={"image_trees": (TREE,)},
        payload=None,
    ),
    Cause(
        "expired token",
        "expired at",
        "create a new one (condor_token_create on the access point) and replace the Secret",
    ),
)
NO_RUNTIME: Final = Cause(
    "no Apptainer",
    "No slot of 1 runs containers: no execute node has Apptainer",
    "(SINGULARITY in its configuration). Ask the site",
)
DOWN: Final = Cause("schedd down", "knows no schedd named 'ap@condor'", "is it running?")
FROZEN: Final = Cause(
    "schedd frozen",
    "HTCondor has not answered for 30 s",
    "Does condor_q answer on the access point?",
    seconds=45,  # its silence is told from slowness after 30
)
ALL: Final = (*CAUSES, NO_RUNTIME, DOWN, FROZEN)


@dataclass
class Told:
    """What a pool said, and after how many seconds."""

    seconds: float = 0.0
    text: str = ""


class Waiting:
    """A pool whose workers do not come."""

    def __init__(self, cause: Cause, pool: BarePool, folder: Path) -> None:
        self.cause = cause
        self._condor = pool
        self._folder = folder / cause.name
        self._folder.mkdir()
        template = {"cores": 1, "memory": "600Mi", "containerImage": IMAGE, **cause.template}
        self._shell = Shell(pool, self._folder, cause.name.replace(" ", "-"), **template)
        certificate, key = (part.decode() for part in new_keypair("x"))
        credentials = Credentials(certificate, key, "TOKEN")
        self._shell.kube.secrets["gateway", "dask-credentials-c1"] = credentials
        self._operator: Operator = self._shell.operator(cause.payload, pause=0.5, **cause.settings)

    async def prepare(self) -> None:
        """Up to where the cause is there."""
        if self.cause.name == "refused image":
            return
        await self._operator.until(is_held, _PATIENCE)
        if self.cause.first_runs:
            self._shell.want(1)
            await self._operator.until(running, _PATIENCE)
        if self.cause.name == "expired token":
            (self._folder / "token").write_text(self._condor.token("dask", lifetime=1))
            await asyncio.sleep(2)

    async def told(self) -> Told:
        """What it says, once that is what it should, or for long enough."""
        self._shell.want(self.cause.workers)
        found, began = Told(), time.monotonic()
        while found.seconds < self.cause.seconds + 10:
            await self._operator.round()
            found = Told(time.monotonic() - began, self._said())
            if self.cause.cause in found.text:
                break
            await asyncio.sleep(0.5)
        return found

    async def whole(self) -> Told:
        """The cause and the story."""
        try:
            await self.prepare()
            return await self.told()
        finally:
            await self.leave()

    async def leave(self) -> None:
        await self._shell.leave()

    def _said(self) -> str:
        status = self._shell.status
        its = [
            *status.get("conditions", ()),
            *status.get("explanation", ()),
            *status.get("recentFailures", ()),
        ]
        return " ".join(dict.fromkeys(each["message"] for each in its))


def running(jobs: tuple[Job, ...]) -> list[Job]:
    return [job for job in jobs if job.status is JobStatus.RUNNING and job.started_at]


def make_image_without_library(pool: BarePool) -> None:
    """The workers' image, without what their Python needs for TLS."""
    lower, image = IMAGE.replace(":", "\\:"), f"{TREE}/no-library"
    pool.run("mkdir", "-p", image, "/dev/shm/upper", "/dev/shm/work")
    options = f"lowerdir={lower},upperdir=/dev/shm/upper,workdir=/dev/shm/work"
    pool.run("mount", "-t", "overlay", "overlay", "-o", options, image)
    pool.run("rm", f"{image}/usr/lib/x86_64-linux-gnu/libssl.so.3")


async def side_by_side(pool: BarePool, folder: Path, causes: Sequence[Cause]) -> dict[str, Told]:
    """What is said of each."""
    found = await asyncio.gather(*(Waiting(cause, pool, folder).whole() for cause in causes))
    return {cause.name: told for cause, told in zip(causes, found, strict=True)}


async def one_by_one(pool: BarePool, folder: Path) -> dict[str, Told]:
    """On execute nodes without Apptainer: of that, and of a schedd that stands still, or is not there."""
    waits = {cause.name: Waiting(cause, pool, folder) for cause in (NO_RUNTIME, FROZEN, DOWN)}
    for waiting in waits.values():
        await waiting.prepare()
    try:
        found = {NO_RUNTIME.name: await waits[NO_RUNTIME.name].told()}
        with silent_schedd(pool):
            found[FROZEN.name] = await waits[FROZEN.name].told()
        await asyncio.to_thread(pool.stop_schedd)
        found[DOWN.name] = await waits[DOWN.name].told()
    finally:
        for waiting in waits.values():
            await waiting.leave()
    return found


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Told]]:
    """Of each cause."""
    folder = tmp_path_factory.mktemp("causes")
    with (
        BarePool(folder / "pool", worker_image.tree(), SETTINGS) as pool,
        BarePool(folder / "other", settings=NO_APPTAINER) as other,
    ):
        for user, factor in (("dask", "5000"), ("alice", "1000")):
            pool.run(*FACTOR, f"{user}@htcdask.test", factor)
        pool.run("condor_submit", "-", user="alice", input=NEVER)
        make_image_without_library(pool)

        async def of_all() -> dict[str, Told]:
            first, second = await asyncio.gather(
                side_by_side(pool, folder, CAUSES), one_by_one(other, folder)
            )
            return {**first, **second}

        yield asyncio.run(of_all())


@pytest.mark.parametrize("cause", ALL, ids=lambda cause: cause.name)
def test_a_pool_says_why_it_has_no_workers_and_what_to_do(
    said: dict[str, Told], cause: Cause, record_property: Callable[[str, object], None]
) -> None:
    told = said[cause.name]
    record_property("seconds", told.seconds)
    assert cause.cause in told.text, told
    assert cause.remedy in told.text, told
    assert told.seconds < cause.seconds, told
