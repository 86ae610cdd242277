"""Whether notebook, scheduler and workers have the same Python and libraries, as a check."""

from collections.abc import Mapping

from htcdaskgateway import _versions
from htcdaskgateway._doctor.case import Case, Fault, NotTried
from htcdaskgateway._doctor.probe import NO_CLUSTER


async def versions(case: Case) -> str:
    """The three have the same; a Fault names each that differs, and where."""
    here = _versions.own()
    if case.client is None:
        raise NotTried(f"{NO_CLUSTER}; here: {_versions.text(here)}")
    return compare(_versions.parties(here, await case.client.get_versions()))


def compare(parties: Mapping[str, _versions.Packages]) -> str:
    """`parties`: the packages' versions (None where one is missing) by who has them, the notebook's first."""
    silent = [who for who, packages in parties.items() if not packages]
    if silent:
        raise Fault(f"{silent[0]} does not tell its versions", "look into its log, or run its image by hand")
    wrong = list(_versions.differences(parties, _versions.DECISIVE))
    if wrong:
        raise Fault("; ".join(wrong), _versions.REMEDY)
    minor = "; ".join(_versions.differences(parties, _versions.OTHERS))
    workers = len(parties) - 2
    whom = (
        f"notebook, scheduler and {workers} worker{'s' * (workers != 1)}"
        if workers
        else "notebook and scheduler"
    )
    same = f"the same on {whom}: {_versions.text(parties['notebook'])}"
    return same + (f" (harmless as a rule: {minor})" if minor else "")
