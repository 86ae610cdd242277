"""What a profile may add to a job, and what it may not."""

from __future__ import annotations

import pytest

from htcdask_operator.condor.jobs import ATTRIBUTES
from htcdask_operator.core.submit import reserved_attributes


@pytest.mark.parametrize(
    "attribute",
    [
        *ATTRIBUTES,
        *("OtherJobRemoveRequirements", "TimerRemove", "CronMonth", "CronDayOfWeek", "DeferralWindow"),
        *("CheckpointExitCode", "SuccessCheckpointExitCode", "WantFTOnCheckpoint", "SkipIfDataflow"),
        *("WantRemoteUpdates", "JobStarterLog", "StarterUserLog", "OutputDestination", "SpooledOutputFiles"),
        *("DockerOverrideEntrypoint", "HookKeyword", "periodicholdsubcode", "FileRemaps", "SUBMIT_Iwd"),
    ],
)
def test_a_profile_sets_nothing_that_the_operator_reads_or_relies_on(attribute: str) -> None:
    assert reserved_attributes.is_reserved(attribute)


@pytest.mark.parametrize(
    "attribute", ["WantGlidein", "ConcurrencyLimits", "JobPrio", "NiceUser", "project_Name", "RequestRuntime"]
)
def test_a_profile_may_set_what_is_the_site_s_affair(attribute: str) -> None:
    assert not reserved_attributes.is_reserved(attribute)
