"""A job's plain attributes, as the agent sent them, made into the core's `Job`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote

from htcdask_api import names
from htcdask_operator.condor.agent.classads import REASONS, Plain
from htcdask_operator.condor.errors import CondorError
from htcdask_operator.core.model import UNKNOWN_TIME, Job, JobStatus, Role

SERVER_TIME: Final = "ServerTime"  # in no ad: the schedd adds it to an answer that shall have it
ATTRIBUTES: Final = (
    SERVER_TIME,
    "ClusterId",
    "ProcId",
    "User",
    "JobStatus",
    "QDate",
    "EnteredCurrentStatus",
    "NumShadowStarts",
    "NumJobReconnects",
    "JobCurrentStartExecutingDate",
    "RemoteHost",
    "LastRemoteHost",
    "HoldReasonCode",
    "HoldReasonSubCode",
    "HoldReason",
    "VacateReasonCode",
    "VacateReason",
    "ExitCode",
    "ExitBySignal",
    "ExitSignal",
    "StageInFinish",
    "Iwd",
    "ResidentSetSize",
    "MemoryUsage",
    "RequestCpus",
    "RequestMemory",
    "RequestGPUs",
    "LastRejMatchReason",
    "RemoveReason",
    names.AD_POOL_UID,
    names.AD_POOL,
    names.AD_USER,
    names.AD_PROFILE,
    names.AD_CLUSTER_UID,
    names.AD_WORKER,
    names.AD_TEMPLATE,
    names.AD_ROLE,
    names.AD_LEASE,
    names.AD_ANCHOR,
    names.AD_LIFETIME,
    names.AD_SUCCEEDS,
    names.AD_CONNECTS_AT,
)
_TOO_LARGE: Final = 2**53
_LONGEST_TEXT: Final = 4096


def job(ad: Mapping[str, Plain], offset: float = 0.0) -> Job:
    """The job. `offset`: so much is the access point's clock ahead of ours; the job's times are by ours.

    Total but for its id: what cannot be understood is unknown, never absent, because an absent job would be
    submitted anew. CondorError for an ad without an id, which no schedd keeps: then nothing is known.
    """
    cluster, proc = _int(ad, "ClusterId"), _int(ad, "ProcId")
    if cluster is None or proc is None:
        raise CondorError("the access point showed a job without ClusterId or ProcId: is that a schedd?")
    status, role = _status(ad), _role(ad)
    held = status is JobStatus.HELD  # a released job keeps the reason of its last hold
    ended = status is JobStatus.COMPLETED  # before that the exit code is of an earlier run
    by_signal = ad.get("ExitBySignal") is True
    slot, _, machine = (_text(ad, "RemoteHost") or _text(ad, "LastRemoteHost") or "").rpartition("@")
    return Job(
        id=f"{cluster}.{proc}",
        status=status,
        role=role,
        owner=_text(ad, "User") or "",
        pool_uid=_text(ad, names.AD_POOL_UID) or "",
        cluster_uid=_text(ad, names.AD_CLUSTER_UID) or "",
        worker=_text(ad, names.AD_WORKER) or "",
        template_hash=_text(ad, names.AD_TEMPLATE) or "",
        queued_at=_time(ad, "QDate", offset) or UNKNOWN_TIME,
        status_since=_time(ad, "EnteredCurrentStatus", offset) or UNKNOWN_TIME,
        lease=_time(ad, names.AD_LEASE, offset),
        shadow_starts=_int(ad, "NumShadowStarts") or 0,
        reconnects=_int(ad, "NumJobReconnects") or 0,
        started_at=_time(ad, "JobCurrentStartExecutingDate", offset),
        slot=slot or None,
        machine=machine or None,
        hold_code=_int(ad, "HoldReasonCode") if held else None,
        hold_subcode=_int(ad, "HoldReasonSubCode") if held else None,
        hold_reason=_text(ad, "HoldReason") if held else None,
        vacate_code=_int(ad, "VacateReasonCode"),
        vacate_reason=_text(ad, "VacateReason"),
        exit_code=_int(ad, "ExitCode") if ended and not by_signal else None,
        exit_signal=_int(ad, "ExitSignal") if ended and by_signal else None,
        stage_in_finish=_time(ad, "StageInFinish", offset),
        iwd=_text(ad, "Iwd") if role is Role.ANCHOR else None,
        memory_mib=_memory(ad),
        request_cores=_int(ad, "RequestCpus"),
        request_memory_mib=_int(ad, "RequestMemory"),
        request_gpus=_int(ad, "RequestGPUs"),
        reject_reason=_text(ad, "LastRejMatchReason"),
        anchor=_text(ad, names.AD_ANCHOR) or "",
        lifetime=_int(ad, names.AD_LIFETIME),
        succeeds=_text(ad, names.AD_SUCCEEDS) or "",
        connects_at=_time(ad, names.AD_CONNECTS_AT, offset),
        remove_reason=_text(ad, "RemoveReason"),
        user=unquote(_text(ad, names.AD_USER) or "", errors="surrogatepass"),
        profile=_text(ad, names.AD_PROFILE) or "",
        namespace=(_text(ad, names.AD_POOL) or "").partition("/")[0],
    )


def server_time(ads: Sequence[Mapping[str, Plain]]) -> float | None:
    """What time it was at the access point when it answered; it says so in each ad."""
    return next((time for ad in ads if (time := _time(ad, SERVER_TIME, 0.0)) is not None), None)


def _status(ad: Mapping[str, Plain]) -> JobStatus:
    try:
        status = JobStatus(_int(ad, "JobStatus") or 0)
    except ValueError:
        return JobStatus.UNKNOWN
    # What becomes of a held job is decided by the code: one that cannot be read is no code of its own.
    odd = status is JobStatus.HELD and "HoldReasonCode" in ad and _int(ad, "HoldReasonCode") is None
    return JobStatus.UNKNOWN if odd else status


def _role(ad: Mapping[str, Plain]) -> Role:
    try:
        role = Role(_text(ad, names.AD_ROLE) or "")
    except ValueError:
        return Role.UNKNOWN
    # Nobody can tell whether a worker without a name is connected.
    return Role.UNKNOWN if role is Role.WORKER and _text(ad, names.AD_WORKER) is None else role


def _memory(ad: Mapping[str, Plain]) -> int | None:
    kib = _int(ad, "ResidentSetSize")
    # MemoryUsage is worked out from the larger ImageSize until the first measurement.
    return _int(ad, "MemoryUsage") if kib is not None else None


def _int(ad: Mapping[str, Plain], name: str) -> int | None:
    """A whole number that is one: neither true, nor 2.5, nor infinite, nor too large to reckon with."""
    value = ad.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _TOO_LARGE:
        return None
    return int(value) if value == int(value) else None


def _time(ad: Mapping[str, Plain], name: str, offset: float) -> float | None:
    value = ad.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < UNKNOWN_TIME:
        return None
    return value - offset


def _text(ad: Mapping[str, Plain], name: str) -> str | None:
    value = ad.get(name)
    if not isinstance(value, str) or not value:
        return None
    # Half a name, or half an id, is another one.
    return value[:_LONGEST_TEXT] if name in REASONS or len(value) <= _LONGEST_TEXT else None
