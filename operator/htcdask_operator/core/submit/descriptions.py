"""What is submitted: the anchor's and the workers' descriptions, and what the workers' bundle says.

Called by `steps`, for a pool that passed its checks. Keys are HTCondor's submit commands, values are ready to
be used; `$(wname)`, the name, and `$(wout)`, its file, are the only macros left. The agent refuses other
keys, adds what it spools, and looks whether HTCondor's own parser understands what was meant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from htcdask_api import Template, names
from htcdask_operator.core.actions import Bundle
from htcdask_operator.core.model import ClusterFacts, JobId, PoolFacts
from htcdask_operator.core.policy import Policy, PortRange
from htcdask_operator.core.submit import images, quoting, template
from htcdask_operator.core.workers import lifetime
from htcdask_operator.core.workers.succession import Succession

BUNDLE: Final = "bundle.sh"
"""The file in the anchor's directory that every worker reads as its standard input."""

ONE_LIFE: Final = "(NumShadowStarts =?= undefined || NumShadowStarts < 1)"
LEASE: Final = f"JobStatus =!= 2 && time() > {names.AD_LEASE}"
_NOWHERE: Final = '"/"'
_MEMORY_SHARE: Final = 0.9  # of the request: Python and the nanny need the rest
_THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def bundle(cluster: ClusterFacts, worker: Template, policy: Policy) -> Bundle:
    """What every worker of a pool is told."""
    environment = {**dict.fromkeys(_THREAD_VARIABLES, "1"), **worker.environment}
    return Bundle(
        scheduler=f"tls://{policy.scheduler_address}",
        sni=names.scheduler_sni(cluster.namespace, cluster.name),
        threads=worker.threads,
        memory_limit=int(worker.memory_bytes * _MEMORY_SHARE),
        nanny=worker.nanny,
        death_timeout=policy.death_timeout_seconds,
        lifetime=lifetime.of_runtime(worker.max_runtime_seconds),
        worker_ports=_ports(policy.worker_ports),
        nanny_ports=_ports(policy.nanny_ports),
        retire_seconds=policy.vacate_seconds - _room_to_close(policy.vacate_seconds),
        close_seconds=_room_to_close(policy.vacate_seconds) / 2,
        environment=tuple(sorted(environment.items())),
        resources=tuple(sorted(worker.resources.items())),
        worker_preload=policy.worker_preload,
        nanny_preload=policy.nanny_preload if worker.nanny else (),
    )


def template_hash(pool: PoolFacts, cluster: ClusterFacts, worker: Template, policy: Policy) -> str:
    """Differs when anything of a worker differs but its name, its anchor and its lease."""
    described = _worker(pool, cluster, worker, policy, iwd="/")
    return template.hash_of(described, bundle(cluster, worker, policy))


def anchor(
    pool: PoolFacts, cluster: ClusterFacts, worker: Template, template_hash: str, policy: Policy, now: float
) -> Mapping[str, str]:
    """The anchor: submitted with the bundle to spool, never to run.

    The rules of an access point (SUBMIT_REQUIREMENT_NAMES) see it as they see the workers. What they may ask
    for, a least memory, an accounting group, a container, a project, it has like them, or its pool would get
    nothing where the workers are welcome.
    """
    like_workers = _job(pool, cluster, worker, policy)
    return {
        **like_workers,
        "My.Requirements": f"false && {like_workers['My.Requirements']}",
        "output": "/dev/null",
        "error": "/dev/null",
        # Whoever asks for the files of its directory gets none, but for those that the agent names then.
        "My.SpooledOutputFiles": '""',
        "leave_in_queue": "false",
        **_said(worker),
        **_identity(pool, cluster, template_hash, names.ROLE_ANCHOR, "", policy, now),
    }


def workers(
    pool: PoolFacts,
    cluster: ClusterFacts,
    worker: Template,
    template_hash: str,
    iwd: str,
    policy: Policy,
    now: float,
    anchor: JobId = "",
    avoided: Mapping[str, float] = MappingProxyType({}),
    succession: Succession | None = None,
) -> Mapping[str, str]:
    """The workers' common description; each name becomes `$(wname)`.

    `anchor`: whose files they read; `avoided`: machines where they are not to run, and until when;
    `succession`: in whose place the one worker comes, and when.
    """
    described = _worker(pool, cluster, worker, policy, iwd)
    if avoided:  # not in the template hash either: machines come and go
        machines = ", ".join(quoting.string(machine) for machine in sorted(avoided))
        over = math.ceil(max(avoided.values()))  # a job may wait for longer than that
        described["My.Requirements"] += f" && (time() > {over} || !member(TARGET.Machine, {{{machines}}}))"
    if succession is not None:
        at = str(math.ceil(succession.connects_at))
        described["arguments"] = described["arguments"].removesuffix('"') + f' {at}"'
        described[f"My.{names.AD_SUCCEEDS}"] = quoting.string(succession.of)
        described[f"My.{names.AD_CONNECTS_AT}"] = at
    return {
        f"My.{names.AD_ANCHOR}": quoting.string(anchor),
        **_said(worker),
        **described,
        **_identity(pool, cluster, template_hash, names.ROLE_WORKER, "$(wname)", policy, now),
    }


def _worker(
    pool: PoolFacts, cluster: ClusterFacts, worker: Template, policy: Policy, iwd: str
) -> dict[str, str]:
    return {
        **_job(pool, cluster, worker, policy),
        **_delivery(policy.delivery, iwd),
        # Completed jobs stay until they are recorded; removed ones leave as soon as their process has ended.
        "leave_in_queue": (
            f"JobStatus == 4 && time() - EnteredCurrentStatus < {math.ceil(policy.ended_seconds)}"
        ),
    }


def _job(pool: PoolFacts, cluster: ClusterFacts, worker: Template, policy: Policy) -> dict[str, str]:
    """What the workers and their anchor have in common: all that a site's rules may ask for."""
    description = {
        **_attributes(worker, policy),  # first: what follows is stronger
        "universe": "container",
        "container_image": quoting.text(worker.container_image or ""),
        "transfer_container": "false",
        "executable": "/bin/bash",
        "transfer_executable": "false",
        "should_transfer_files": "yes",
        "when_to_transfer_output": "ON_EXIT",
        "request_cpus": str(worker.cores),
        "request_memory": str(math.ceil(worker.memory_bytes / 2**20)),  # MiB
        "request_disk": str(math.ceil(worker.disk_bytes / 2**10)),  # KiB
        **_expressions(worker, policy),
        # HTCondor would give each job a key by which it may write attributes of its own ad.
        "My.WantDelayedUpdates": "false",
        "My.WantIOProxy": "false",
        "My.WantRemoteUpdates": "false",
        "job_max_vacate_time": str(math.ceil(policy.vacate_seconds)),
        "periodic_remove": LEASE,
        "batch_name": _batch_name(pool),
        **_accounting(cluster, worker, policy),
    }
    if worker.gpus:
        description["request_gpus"] = str(worker.gpus)
    if worker.max_runtime_seconds is not None:
        description["allowed_execute_duration"] = str(worker.max_runtime_seconds)
    return description


def _delivery(delivery: str, iwd: str) -> dict[str, str]:
    """How the bundle reaches the worker: as streamed standard input, or by HTCondor's file transfer.

    `-p`: bash takes neither options nor functions nor a file to read from the image's environment.

    What the worker prints comes back once, when it has ended, and HTCondor refuses more than a megabyte: a
    stream would be written to the access point's disk for as long as somebody prints.
    """
    bundle, printed = quoting.text(f"{iwd}/{BUNDLE}"), quoting.text(f"{iwd}/") + "$(wout)"
    description = {
        "output": printed,
        "error": printed,
        # Said to be none, it also saves the second that HTCondor sleeps to tell new files from old ones.
        "transfer_output_files": '""',
        "max_transfer_output_mb": "1",
        # HTCondor also brings what a job has left under the name of a core file, one for each job, to its
        # directory: there is none that it may write to, and what it prints has a path of its own.
        "My.Iwd": _NOWHERE,
    }
    if delivery == "transfer":
        return {**description, "arguments": f'"-p {BUNDLE} $(wname)"', "transfer_input_files": bundle}
    file = quoting.string(f"{iwd}/{BUNDLE}")
    return {
        **description,
        "arguments": '"-p -s $(wname)"',
        "input": bundle,
        "stream_input": "true",
        # HTCondor would also copy what it streams to the execute node's disk. The access point, which picks
        # the files to copy, sees none here; the execute node, where Iwd is the job's scratch, the bundle.
        "My.In": f'ifThenElse(Iwd == {_NOWHERE}, "/dev/null", {file})',
    }


def _expressions(worker: Template, policy: Policy) -> dict[str, str]:
    """Requirements and rank; what people wrote stands in attributes of its own, which ours only name."""
    profile = policy.profiles.get(worker.profile or "")
    requirements = {
        names.AD_PROFILE_REQUIREMENTS: profile.requirements if profile else None,
        names.AD_USER_REQUIREMENTS: worker.requirements,
    }
    ranks = {
        names.AD_PROFILE_RANK: profile.rank if profile else None,
        names.AD_USER_RANK: worker.rank,
    }
    written = {name: quoting.expression(text) for name, text in (requirements | ranks).items() if text}
    clauses = [*_clauses(worker), *(f"(MY.{name})" for name in requirements if name in written)]
    rank = " + ".join(f"(MY.{name})" for name in ranks if name in written)
    return {
        **{quoting.attribute(name): text for name, text in written.items()},
        "My.Requirements": " && ".join(clauses),
        **({"rank": rank} if rank else {}),
    }


def _clauses(worker: Template) -> list[str]:
    """Written in full: HTCondor's own would ask for the access point's FileSystemDomain."""
    clauses = [
        "TARGET.HasContainer",
        f"TARGET.{images.kind(worker.container_image or '').value}",
        "TARGET.Cpus >= RequestCpus",
        "TARGET.Memory >= RequestMemory",
        "TARGET.Disk >= RequestDisk",
    ]
    if worker.gpus:
        clauses.append("TARGET.GPUs >= RequestGPUs")
    return [*clauses, ONE_LIFE]


def _accounting(cluster: ClusterFacts, worker: Template, policy: Policy) -> dict[str, str]:
    profile = policy.profiles.get(worker.profile or "")
    group = (profile.accounting_group if profile else None) or policy.accounting_group
    if group is None:
        return {}
    return {
        "accounting_group": quoting.group(group),
        "accounting_group_user": quoting.account(cluster.username),
    }


def _attributes(worker: Template, policy: Policy) -> dict[str, str]:
    profile = policy.profiles.get(worker.profile or "")
    if profile is None:
        return {}
    return {quoting.attribute(name): quoting.literal(value) for name, value in profile.attributes.items()}


def _said(worker: Template) -> dict[str, str]:
    """What the operator reads again. Not in the template hash: nothing that is staged depends on it."""
    retires = lifetime.of_runtime(worker.max_runtime_seconds)
    return {
        **({f"My.{names.AD_PROFILE}": quoting.string(worker.profile)} if worker.profile else {}),
        **({f"My.{names.AD_LIFETIME}": str(retires)} if retires is not None else {}),
    }


def _identity(
    pool: PoolFacts,
    cluster: ClusterFacts,
    template_hash: str,
    role: str,
    worker: str,
    policy: Policy,
    now: float,
) -> dict[str, str]:
    """Who a job belongs to, in the transaction that creates it."""
    return {
        f"My.{names.AD_OPERATOR}": quoting.string(policy.operator_id),
        f"My.{names.AD_POOL_UID}": quoting.string(pool.uid),
        f"My.{names.AD_POOL}": quoting.string(f"{pool.namespace}/{pool.name}"),
        f"My.{names.AD_CLUSTER_UID}": quoting.string(cluster.uid),
        f"My.{names.AD_USER}": quoting.string(quoting.user(cluster.username)),
        f"My.{names.AD_WORKER}": f'"{worker}"',
        f"My.{names.AD_TEMPLATE}": quoting.string(template_hash),
        f"My.{names.AD_ROLE}": quoting.string(role),
        f"My.{names.AD_LEASE}": str(math.ceil(now + policy.job_expiry_seconds)),
    }


def _batch_name(pool: PoolFacts) -> str:
    return quoting.text(f"htcdask {pool.namespace}/{pool.name}")


def _ports(ports: PortRange | None) -> str | None:
    return None if ports is None else f"{ports.first}:{ports.last}"


def _room_to_close(vacate_seconds: float) -> float:
    """What a worker that was told to go keeps for closing, before HTCondor ends it by SIGKILL."""
    return min(30.0, vacate_seconds / 4)
