"""The last look at a submit description before it leaves: it is code, so nothing unexpected passes.

Called by `client`. `core.submit.descriptions` writes them, and quotes in them; what is refused is a mistake
of ours, or somebody who found a way around the quoting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from htcdask_api import names
from htcdask_operator.condor.errors import SubmitRefused

_KEYS: Final = frozenset(
    {
        "accounting_group",
        "accounting_group_user",
        "allowed_execute_duration",
        "allowed_job_duration",
        "arguments",
        "batch_name",
        "container_image",
        "error",
        "executable",
        "input",
        "job_max_vacate_time",
        "leave_in_queue",
        "max_transfer_output_mb",
        "notification",
        "output",
        "periodic_remove",
        "rank",
        "request_cpus",
        "request_disk",
        "request_gpus",
        "request_memory",
        "requirements",
        "should_transfer_files",
        "stream_input",
        "transfer_container",
        "transfer_executable",
        "transfer_input_files",
        "transfer_output_files",
        "universe",
        "when_to_transfer_output",
    }
)
_ATTRIBUTE: Final = re.compile(r"My\.[A-Za-z_][A-Za-z0-9_]*")
_MACRO: Final = re.compile(r"\$\((?:DOLLAR|wname|wout)\)")
_WORKER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PROGRAM: Final = "/bin/bash"


def check(description: Mapping[str, str], operator_id: str) -> None:
    """SubmitRefused unless this is a description of a job of this operator that says nothing surprising."""
    for key, value in description.items():
        if key not in _KEYS and not _ATTRIBUTE.fullmatch(key):
            raise SubmitRefused(f"the submit command {key!r} is not one that HTCDask uses")
        if not value.isprintable():
            raise SubmitRefused(f"the value of {key} has control characters: {value[:80]!r}")
        if "$" in _MACRO.sub("", value):
            raise SubmitRefused(f"the value of {key} has a macro: {value[:80]!r}")
    if description.get("executable") != _PROGRAM:
        raise SubmitRefused(f"a job of HTCDask does not run {description.get('executable')!r}")
    if description.get(f"My.{names.AD_OPERATOR}") != f'"{operator_id}"':
        raise SubmitRefused(f"a job without {names.AD_OPERATOR} = {operator_id!r} would never be found again")


def check_names(workers: Sequence[str]) -> None:
    """SubmitRefused unless these are names for workers, each once."""
    for name in workers:
        if not _WORKER.fullmatch(name):
            raise SubmitRefused(f"{name!r} cannot be the name of a worker")
    if len(set(workers)) != len(workers) or not workers:
        raise SubmitRefused("the names of workers must be there, and each only once")
