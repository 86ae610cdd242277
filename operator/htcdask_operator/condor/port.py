"""What the operator asks of HTCondor: all of it. Implemented by `client.CondorClient` and by the tests' fake.

Every call is about jobs of this operator only, every change about those of its identity; jobs of others are
neither seen nor touched. Times are by our clock, whatever the access point's shows. Every call may raise
`errors.CondorError`. A call that was cancelled may have been done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from htcdask_operator.core.model import Analysis, Job, JobId, PoolUid, WorkerName


class Condor(Protocol):
    """One access point, as one identity."""

    async def whoami(self) -> str:
        """The identity that the access point sees in a request that may write: `dask@example.org`.

        Asked of the access point when the token was replaced, and after a refusal.
        """

    async def jobs(self, also: Collection[str] = ()) -> tuple[Job, ...]:
        """Every job of this operator in the queue: anchors and workers, ended ones that linger too.

        Of our identity, and of those in `also`; only the former can be touched.
        """

    async def jobs_of(self, pool: PoolUid, also: Collection[str] = ()) -> tuple[Job, ...]:
        """The same, of one pool. What an earlier submit of ours created is there."""

    async def submit_anchor(
        self, description: Mapping[str, str], bundle: bytes, identity: str | None = None
    ) -> JobId:
        """Submit the anchor and spool `bundle` as its `bundle.sh`, mode 0600. No copy of it stays here.

        As `identity`, or not at all: the token may have been replaced since the job was planned.
        """

    async def submit_workers(
        self, description: Mapping[str, str], names: Sequence[WorkerName], identity: str | None = None
    ) -> tuple[JobId, ...]:
        """Submit one job for each name (`$(wname)` in the description), all or none, in one transaction.

        As `identity`, or not at all.
        """

    async def spool_workers(
        self,
        description: Mapping[str, str],
        names: Sequence[WorkerName],
        bundle: bytes,
        identity: str | None = None,
    ) -> tuple[JobId, ...]:
        """The same, and spool `bundle` as the `bundle.sh` of each of them, mode 0600. No copy stays here."""

    async def hold(self, jobs: Sequence[JobId], reason: str) -> None:
        """Hold these jobs; those that are gone, held or removed already are no error."""

    async def remove(self, jobs: Sequence[JobId], reason: str) -> None:
        """Remove these jobs, ended ones from the queue at once; those that are gone are no error."""

    async def force_remove(self, jobs: Sequence[JobId], reason: str) -> None:
        """Take removed jobs out of the queue although their processes may not have ended; others stay."""

    async def renew(self, until: float) -> None:
        """Extend the lease of all jobs of this operator."""

    async def logs(self, keeper: JobId, names: Sequence[WorkerName]) -> Mapping[WorkerName, str]:
        """The end of what these workers printed, for those that have completed; silent ones are left out.

        `keeper`: the anchor whose files they read, or the job of the one worker that has its own. Nobody
        waits for it: no other call does, and it gives up sooner than they.
        """

    async def analyze(self, job: JobId) -> Analysis | None:
        """How the pool's slots look to this job; None: it waits for none. Nobody waits for the answer."""
