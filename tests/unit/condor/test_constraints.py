"""Jobs as constraints: what reaches the schedd when jobs are held or removed."""

from __future__ import annotations

import random

from htcdask_operator.condor.constraints import of_operator, rows


def test_successive_jobs_of_one_submit_are_one_run() -> None:
    jobs = [f"7.{proc}" for proc in range(1000)] + ["9.3", "9.4", "9.6", "12.0"]
    random.Random(1).shuffle(jobs)  # noqa: S311
    assert rows(jobs) == [
        "(ClusterId == 7 && ProcId >= 0 && ProcId <= 999)",
        "(ClusterId == 9 && ProcId >= 3 && ProcId <= 4)",
        "(ClusterId == 9 && ProcId >= 6 && ProcId <= 6)",
        "(ClusterId == 12 && ProcId >= 0 && ProcId <= 0)",
    ]


def test_no_jobs_are_no_run() -> None:
    assert rows([]) == []


def test_another_release_with_the_same_id_is_asked_about_its_own_namespaces_only() -> None:
    found = of_operator("htcdask/uid", ("gateway", "a-1"), ("dask@x", 'o"dd@x'))
    assert found == (
        'HTCDaskOperator =?= "htcdask/uid" && (User =?= "dask@x" || User =?= "o\\"dd@x") '
        '&& regexp("^(a-1|gateway)/", HTCDaskPool) =?= true && RoutedFromJobId =?= undefined'
    )
    assert "regexp" not in of_operator("htcdask/uid", (), ("dask@x",))
