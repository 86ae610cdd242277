"""Whether notebook, scheduler and workers have the same Python and libraries, as far as that matters.

A scheduler and workers of other versions are met as errors in the middle of tasks: what one side has packed,
the other cannot unpack.
"""

import platform
from collections.abc import Iterator, Mapping
from typing import Any, Final

from distributed.versions import get_versions

from htcdaskgateway._doctor.case import Case, Fault, NotTried
from htcdaskgateway._doctor.probe import NO_CLUSTER

# By these the three speak with each other, or tasks and their results are packed.
_DECISIVE: Final = ("python", "dask", "distributed", "msgpack", "cloudpickle", "lz4", "numpy", "pandas")
_OTHERS: Final = ("tornado", "toolz")
_MOST_SHOWN: Final = 3  # workers whose difference is told


async def versions(case: Case) -> str:
    """The three have the same; a Fault names each that differs, and where."""
    here = get_versions()["packages"]
    if case.client is None:
        raise NotTried(f"{NO_CLUSTER}; here: {_text(here)}")
    found = await case.client.get_versions()
    return compare({"notebook": here, **_packages(found)})


def _packages(found: Any) -> dict[str, Mapping[str, Any]]:
    """By who has them. A scheduler or worker may say anything: what has another shape is empty."""
    parties: dict[str, Mapping[str, Any]] = {}
    told = found if isinstance(found, dict) else {}
    workers = told.get("workers")
    parts = {"scheduler": told.get("scheduler")}
    parts |= {f"worker {at}": said for at, said in (workers if isinstance(workers, dict) else {}).items()}
    for who, said in parts.items():
        packages = said.get("packages") if isinstance(said, dict) else None
        parties[who] = packages if isinstance(packages, dict) else {}
    return parties


def compare(parties: Mapping[str, Mapping[str, Any]]) -> str:
    """`parties`: the packages' versions (None where one is missing) by who has them, the notebook's first."""
    here = parties["notebook"]
    silent = [who for who, packages in parties.items() if not packages]
    if silent:
        raise Fault(f"{silent[0]} does not tell its versions", "look into its log, or run its image by hand")
    wrong = list(_differences(parties, _DECISIVE))
    if wrong:
        raise Fault(
            "; ".join(wrong),
            "give notebook, scheduler (image) and workers (container_image) images of one build",
        )
    minor = "; ".join(_differences(parties, _OTHERS))
    workers = len(parties) - 2
    whom = (
        f"notebook, scheduler and {workers} worker{'s' * (workers != 1)}"
        if workers
        else "notebook and scheduler"
    )
    return f"the same on {whom}: {_text(here)}" + (f" (harmless as a rule: {minor})" if minor else "")


def _differences(parties: Mapping[str, Mapping[str, Any]], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        shown = {who: _version(packages, name) for who, packages in parties.items()}
        others = {who: version for who, version in shown.items() if version != shown["notebook"]}
        if others:
            some = [f"{version} on {who}" for who, version in list(others.items())[:_MOST_SHOWN]]
            more = f" and {len(others) - _MOST_SHOWN} more" if len(others) > _MOST_SHOWN else ""
            yield f"{name} is {shown['notebook']} here, {', '.join(some)}{more}"


def _version(packages: Mapping[str, Any], name: str) -> str:
    version = packages.get(name)
    if version is None:
        return "not installed"
    text = str(version)[:40]
    # Bug fix releases of Python unpack what each other packs.
    return ".".join(text.split(".")[:2]) if name == "python" else text


def _text(packages: Mapping[str, Any]) -> str:
    shown = {"python": platform.python_version(), **{name: packages.get(name) for name in _DECISIVE[1:]}}
    return ", ".join(f"{name} {version}" for name, version in shown.items() if version)
