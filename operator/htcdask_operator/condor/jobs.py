"""A job's plain attributes, as the agent sent them, made into the core's `Job`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from htcdask_api import names
from htcdask_operator.condor.classads import Plain
from htcdask_operator.core.model import Job, JobStatus, Role

ATTRIBUTES: Final = (
    "ClusterId",
    "ProcId",
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
    "RequestMemory",
    "LastRejMatchReason",
    names.AD_POOL_UID,
    names.AD_POOL,
    names.AD_USER,
    names.AD_CLUSTER_UID,
    names.AD_WORKER,
    names.AD_TEMPLATE,
    names.AD_ROLE,
    names.AD_LEASE,
)


def job(ad: Mapping[str, Plain]) -> Job | None:
    """The job, or None if its ad is not one that this operator writes."""
    try:
        status, role = JobStatus(_int(ad, "JobStatus") or 0), Role(_text(ad, names.AD_ROLE) or "")
    except ValueError:
        return None
    cluster, proc = _int(ad, "ClusterId"), _int(ad, "ProcId")
    if cluster is None or proc is None:
        return None
    held = status is JobStatus.HELD  # a released job keeps the reason of its last hold
    ended = status is JobStatus.COMPLETED  # before that the exit code is of an earlier run
    by_signal = ad.get("ExitBySignal") is True
    return Job(
        id=f"{cluster}.{proc}",
        status=status,
        role=role,
        pool_uid=_text(ad, names.AD_POOL_UID) or "",
        cluster_uid=_text(ad, names.AD_CLUSTER_UID) or "",
        worker=_text(ad, names.AD_WORKER) or "",
        template=_text(ad, names.AD_TEMPLATE) or "",
        queued_at=_float(ad, "QDate") or 0.0,
        status_since=_float(ad, "EnteredCurrentStatus") or 0.0,
        lease=_float(ad, names.AD_LEASE),
        shadow_starts=_int(ad, "NumShadowStarts") or 0,
        reconnects=_int(ad, "NumJobReconnects") or 0,
        started_at=_float(ad, "JobCurrentStartExecutingDate"),
        machine=_text(ad, "RemoteHost") or _text(ad, "LastRemoteHost"),
        hold_code=_int(ad, "HoldReasonCode") if held else None,
        hold_subcode=_int(ad, "HoldReasonSubCode") if held else None,
        hold_reason=_text(ad, "HoldReason") if held else None,
        vacate_code=_int(ad, "VacateReasonCode"),
        vacate_reason=_text(ad, "VacateReason"),
        exit_code=_int(ad, "ExitCode") if ended and not by_signal else None,
        exit_signal=_int(ad, "ExitSignal") if ended and by_signal else None,
        stage_in_finish=_float(ad, "StageInFinish"),
        iwd=_text(ad, "Iwd") if role is Role.ANCHOR else None,
        memory_mib=_memory(ad),
        request_memory_mib=_int(ad, "RequestMemory"),
        reject_reason=_text(ad, "LastRejMatchReason"),
        user=unquote(_text(ad, names.AD_USER) or "", errors="surrogatepass"),
        namespace=(_text(ad, names.AD_POOL) or "").partition("/")[0],
    )


def _memory(ad: Mapping[str, Plain]) -> int | None:
    kib = _int(ad, "ResidentSetSize")
    # MemoryUsage is worked out from the larger ImageSize until the first measurement.
    return _int(ad, "MemoryUsage") if kib is not None else None


def _int(ad: Mapping[str, Plain], name: str) -> int | None:
    value = ad.get(name)
    return int(value) if isinstance(value, int | float) else None


def _float(ad: Mapping[str, Plain], name: str) -> float | None:
    value = ad.get(name)
    return float(value) if isinstance(value, int | float) else None


def _text(ad: Mapping[str, Plain], name: str) -> str | None:
    value = ad.get(name)
    return value if isinstance(value, str) and value else None
