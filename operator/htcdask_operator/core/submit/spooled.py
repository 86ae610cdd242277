"""The other road of the workers' files: spooled with each worker, where the access point refuses the anchor.

A site's rule may refuse the anchor for all that it looks like its workers, and take them. Used by `memory`,
which keeps what was refused, by `anchor`, and by `pools.steps` and `pools.submit`:

    SubmitAnchor -> refused by a rule -> SubmitWorkers, each with the bundle -> code 16, spooling -> idle
                                         an hour later, or the template's hash changed: SubmitAnchor

After a restart of the operator it begins anew, too: that costs one submit that is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from htcdask_operator.core.model import Job, WorkerName
from htcdask_operator.core.submit import descriptions

AGAIN_SECONDS: Final = 3600.0
"""After so long the rule may be another one, and an anchor is tried again."""
LARGEST_SUBMIT: Final = 100
"""Jobs: sending their files takes about a second, and over a slow network much of the agent's 30 s."""

_OF_ANCHOR: Final = ("My.Iwd", "My.In", "input", "stream_input", "transfer_input_files")


@dataclass(frozen=True, slots=True)
class RefusedAnchor:
    """A rule of the access point refused the anchor of this template, in these words."""

    template_hash: str
    at: float
    why: str

    @property
    def until(self) -> float:
        """When an anchor is tried again."""
        return self.at + AGAIN_SECONDS

    def holds(self, template_hash: str, now: float) -> bool:
        """Whether an anchor of this template would be refused again."""
        return template_hash == self.template_hash and now < self.until


def described(workers: Mapping[str, str]) -> dict[str, str]:
    """The workers' description with the bundle in the job's own directory, and there what it prints.

    The agent says from where it is spooled. Transferred, whatever the site's delivery is: HTCondor gives new
    names to files that are spooled, and not to those that it streams by an expression of ours.
    """
    return {
        **{key: text for key, text in workers.items() if key not in _OF_ANCHOR},
        # A successor is told when it may connect, too.
        "arguments": workers["arguments"].replace("-p -s ", f"-p {descriptions.BUNDLE} "),
        "output": "$(wout)",
        "error": "$(wout)",
        # Whoever asks for the files of its directory gets those that the agent names then: never the bundle.
        "My.SpooledOutputFiles": '""',
    }


def has_files(job: Job) -> bool:
    """Whether this worker's files were spooled with it."""
    return job.may_be_worker and job.stage_in_finish is not None


def keepers(ended: Sequence[Job], logs_of: Collection[WorkerName]) -> dict[WorkerName, Job]:
    """Of these workers those jobs whose directory has their last lines: it goes with the job."""
    return {job.worker: job for job in ended if job.worker in logs_of and has_files(job)}
