"""What HTCondor must not be asked without: whose jobs a question, or a change, is about. Used by `client`.

Every constraint names this operator, the namespaces that it works for, and an identity: anybody may write our
id into a job of theirs, and two releases may have one id.
"""

from __future__ import annotations

from collections.abc import Sequence

from htcdask_api import names
from htcdask_operator.core.model import JobId, PoolUid, Role


def of_operator(operator: str, namespaces: Sequence[str], identities: Sequence[str]) -> str:
    """All jobs of this operator, submitted by one of these identities. No namespaces: of any."""
    users = " || ".join(f"User =?= {string(user)}" for user in sorted(set(identities)))
    clauses = [f"{names.AD_OPERATOR} =?= {string(operator)}", f"({users})"]
    if namespaces:  # DNS labels: nothing in them means anything to a regular expression
        clauses.append(f'regexp("^({"|".join(sorted(namespaces))})/", {names.AD_POOL}) =?= true')
    # A routed copy carries our attributes, too.
    return " && ".join([*clauses, "RoutedFromJobId =?= undefined"])


def of_pool(known: str, pool: PoolUid) -> str:
    """Those of one pool."""
    return f"{known} && {names.AD_POOL_UID} =?= {string(pool)}"


def with_files(known: str, job: JobId) -> str:
    """One job that has a directory of its own: an anchor, or a worker with which its files were spooled."""
    return f'{of_job(known, job)} && ({names.AD_ROLE} == "{Role.ANCHOR}" || StageInFinish =!= undefined)'


def of_job(known: str, job: JobId) -> str:
    """One job."""
    (this,) = rows([job])
    return f"{known} && {this}"


def of_waiting(known: str, job: JobId) -> str:
    """The same, if it waits for its one life."""
    return f"{of_job(known, job)} && JobStatus == 1 && (NumShadowStarts ?: 0) < 1"


def rows(jobs: Sequence[JobId]) -> list[str]:
    """A constraint for each row of successive jobs of one submit: a thousand workers are one or a few."""
    found: list[tuple[int, int, int]] = []
    for cluster, proc in sorted(tuple(map(int, id_.split("."))) for id_ in jobs):
        if found and found[-1][0] == cluster and found[-1][2] == proc - 1:
            found[-1] = (cluster, found[-1][1], proc)
        else:
            found.append((cluster, proc, proc))
    return [
        f"(ClusterId == {cluster} && ProcId >= {first} && ProcId <= {last})" for cluster, first, last in found
    ]


def string(value: str) -> str:
    """A ClassAd string."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
