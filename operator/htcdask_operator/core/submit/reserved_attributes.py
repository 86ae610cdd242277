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
    "stage",
    "stream",
    "submit_",
    "transfer",
    "jobmaterialize",
    "jobset",
    "jobstarter",  # its log would be one more file on the access point
    "starteruserlog",
    "userlog",
    "spool",
    "output",
    "periodic",
    "onexit",
    "cron",  # any one of these lets a job run again and again
    "deferral",
    "checkpoint",
    "successcheckpoint",
    "noop",
    "docker",
    "remote",
)
_NAMES: Final = frozenset(
    name.casefold()
    for name in (
        # When a job starts, stays and ends.
        *("Requirements", "Rank", "LeaveJobInQueue", "JobMaxVacateTime", "JobMaxRetries", "TimerRemove"),
        *("OtherJobRemoveRequirements", "WantFTOnCheckpoint", "WantCheckpointSignal", "SkipIfDataflow"),
        *("SuspendJobAtExec", "JobSuccessExitCode", "JobSuccessExitBySignal", "JobSuccessExitSignal"),
        *("AllowedExecuteDuration", "AllowedJobDuration", "JobLeaseDuration", "JobStatus", "IsNoopJob"),
        *("EnteredCurrentStatus", "QDate", "CompletionDate", "ExitCode", "ExitBySignal", "ExitSignal"),
        *("VacateReason", "VacateReasonCode", "RemoveReason", "ServerTime", "LastRejMatchReason"),
        *("JobCurrentStartExecutingDate", "ResidentSetSize", "MemoryUsage"),
        *("KillSig", "RemoveKillSig", "HoldKillSig", "WantGracefulRemoval", "CurrentHosts", "MaxHosts"),
        *("MinHosts", "MachineCount", "LastRemoteHost", "RoutedFromJobId", "Managed"),
        # What it runs, where, as whom, and with which files.
        *("ClusterId", "ProcId", "GlobalJobId", "MyType", "TargetType", "JobUniverse", "Owner", "User"),
        *("OsUser", "NTDomain", "AccountingGroup", "AcctGroup", "AcctGroupUser", "JobBatchName", "Iwd"),
        *("Cmd", "Args", "Arguments", "Env", "Environment", "In", "Out", "Err", "PreCmd", "CoreSize"),
        *("PreArguments", "PreArgs", "PreEnvironment", "PreEnv", "PostCmd", "PostArguments", "PostArgs"),
        *("PostEnvironment", "PostEnv", "ContainerImage", "ContainerTargetDir", "RootDir", "HookKeyword"),
        *(
            "SingularityImage",
            "WantContainer",
            "WantDocker",
            "WantDockerImage",
            "WantSIF",
            "WantSandboxImage",
        ),
        *("ShouldTransferFiles", "WhenToTransferOutput", "MaxTransferInputMB", "MaxTransferOutputMB"),
        *("WantIOProxy", "GridResource", "ManifestDesired", "ManifestDir", "ContainerServiceNames"),
        # By these, the job could change its own ad, or files of the access point.
        *(
            "WantRemoteUpdates",
            "WantDelayedUpdates",
            "AppendFiles",
            "BufferFiles",
            "FileRemaps",
            "LocalFiles",
        ),
        *("FetchFiles", "PreserveRelativePaths", "EraseOutputAndErrorOnRestart", "RunAsOwner"),
    )
)


# A walltime in seconds that some sites ask for (docs/sites.md): a plain attribute, and no resource of a slot.
_FREE: Final = frozenset({"requestruntime"})


def is_reserved(attribute: str) -> bool:
    """Whether the operator sets this attribute itself, or relies on what HTCondor says with it."""
    folded = attribute.casefold()
    return folded in _NAMES or (folded.startswith(_PREFIXES) and folded not in _FREE)
