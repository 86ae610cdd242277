"""Attributes of a job that a profile may not set, because what the operator promises rests on them.

Called by the settings at start-up. HTCondor does not care about the case of a name, so nor does this.
"""

from __future__ import annotations

from typing import Final

_PREFIXES: Final = (
    "htcdask",  # whose job it is
    "request",  # what a worker was told that it has
    "hold",
    "numshadow",
    "numjob",
    "stagein",
    "stream",
    "submit_",
    "transfer",
    "jobmaterialize",
)
_NAMES: Final = frozenset(
    name.casefold()
    for name in (
        # When a job starts, stays and ends.
        *("Requirements", "Rank", "LeaveJobInQueue", "PeriodicRemove", "PeriodicHold", "PeriodicRelease"),
        *("PeriodicVacate", "OnExitRemove", "OnExitHold", "JobMaxVacateTime", "JobMaxRetries"),
        *("AllowedExecuteDuration", "AllowedJobDuration", "JobLeaseDuration", "JobStatus", "IsNoopJob"),
        *("EnteredCurrentStatus", "QDate", "CompletionDate", "ExitCode", "ExitBySignal", "ExitSignal"),
        *("VacateReason", "VacateReasonCode", "RemoveReason", "DeferralTime", "CronMinute", "CronHour"),
        *("KillSig", "RemoveKillSig", "HoldKillSig", "WantGracefulRemoval", "CurrentHosts", "MaxHosts"),
        *("MinHosts", "MachineCount", "RemoteHost", "LastRemoteHost", "RoutedFromJobId", "Managed"),
        # What it runs, where, as whom, and with which files.
        *("ClusterId", "ProcId", "GlobalJobId", "MyType", "TargetType", "JobUniverse", "Owner", "User"),
        *("OsUser", "NTDomain", "AccountingGroup", "AcctGroup", "AcctGroupUser", "JobBatchName", "Iwd"),
        *("Cmd", "Args", "Arguments", "Env", "Environment", "In", "Out", "Err", "UserLog", "PreCmd"),
        *("PreArguments", "PreArgs", "PreEnvironment", "PreEnv", "PostCmd", "PostArguments", "PostArgs"),
        *("PostEnvironment", "PostEnv", "ContainerImage", "ContainerTargetDir", "DockerImage", "RootDir"),
        *(
            "SingularityImage",
            "WantContainer",
            "WantDocker",
            "WantDockerImage",
            "WantSIF",
            "WantSandboxImage",
        ),
        *("ShouldTransferFiles", "WhenToTransferOutput", "MaxTransferInputMB", "MaxTransferOutputMB"),
        *("DockerNetworkType", "WantIOProxy", "GridResource", "ManifestDesired", "ManifestDir"),
    )
)


def is_reserved(attribute: str) -> bool:
    """Whether the operator sets this attribute itself, or relies on what HTCondor says with it."""
    folded = attribute.casefold()
    return folded in _NAMES or folded.startswith(_PREFIXES)
