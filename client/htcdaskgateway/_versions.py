"""Whether notebook, scheduler and workers have the same Python and libraries, as far as that matters.

Called by the doctor and by `explain()`. A scheduler and workers of other versions are met as errors in the
middle of tasks: what one side has packed, the other cannot unpack. What schedulers and workers say may have
any shape.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from distributed.versions import get_versions

_log = logging.getLogger(__name__)

# By these the three speak with each other, and tasks are packed: everybody has them, and the same.
_NEEDED: Final = ("python", "dask", "distributed", "msgpack", "cloudpickle")
# Results may be packed by these. Who has none meets no other version: compression is agreed on, and a
# notebook that lacks numpy asks for no array.
_SHARED: Final = ("lz4", "numpy", "pandas")
_OTHERS: Final = ("tornado", "toolz")
REMEDY: Final = "give notebook, scheduler (image) and workers (container_image) images of one build"
_MOST_SHOWN: Final = 3  # workers whose difference is told
_MOST_ASKED: Final = (
    10  # workers: those of a pool have one image, and thousands would keep the scheduler busy
)
_SECONDS: Final = (
    3.0  # for all of it: whoever asks why there are no workers does not wait for a busy scheduler
)

Packages = Mapping[str, Any]  # versions by the name of the package; None where it is not installed


@dataclass(frozen=True)
class Versions:
    """What differs, a sentence each, and how many workers were asked; None: the scheduler did not say."""

    differ: tuple[str, ...]
    workers: int | None


async def of_cluster(scheduler: Any, seen: Any) -> Versions:
    """By Dask's own question, in bounded time.

    `scheduler`: its rpc; `seen`: what the cluster object knows of workers by address, for their names alone.
    It may be old: a second object of the same cluster takes the first one's news away.
    """
    names = {at: str(its.get("name", at)) for at, its in dict(seen).items() if isinstance(its, Mapping)}
    try:
        here, found = await asyncio.wait_for(_ask(scheduler), _SECONDS)
    except Exception:  # of another version, say
        _log.debug("The scheduler did not say its versions", exc_info=True)
        return Versions((), None)
    said = parties(here, found, names)
    heard = {who: packages for who, packages in said.items() if packages}
    return Versions(tuple(faults(heard)), len(heard.keys() - {"notebook", "scheduler"}))


async def _ask(scheduler: Any) -> tuple[Packages, Any]:
    # Dask imports numpy and pandas to see them.
    here = asyncio.get_running_loop().run_in_executor(None, own)
    found, addresses = (
        {"scheduler": await scheduler.versions(), "workers": {}},
        list(await scheduler.ncores()),
    )
    if some := addresses[:: max(1, -(-len(addresses) // _MOST_ASKED))]:
        ask = {"op": "versions"}
        found["workers"] = await scheduler.broadcast(msg=ask, workers=some, on_error="ignore")
    return await here, found


def own() -> Packages:
    """The packages here."""
    packages: Packages = get_versions()["packages"]
    return packages


def parties(here: Packages, found: Any, names: Mapping[str, str] | None = None) -> dict[str, Packages]:
    """By who has them, the notebook first; what has another shape than `Client.get_versions()` is empty."""
    told = found if isinstance(found, dict) else {}
    workers = told.get("workers") if isinstance(told.get("workers"), dict) else {}
    parts = {"scheduler": told.get("scheduler")}
    parts |= {f"worker {(names or {}).get(at, at)}": said for at, said in (workers or {}).items()}
    by: dict[str, Packages] = {"notebook": here}
    for who, said in parts.items():
        packages = said.get("packages") if isinstance(said, dict) else None
        by[who] = packages if isinstance(packages, dict) else {}
    return by


def faults(by: Mapping[str, Packages]) -> Iterator[str]:
    """A sentence for each package that is missing where everybody needs it, or is there in two versions."""
    for name in _NEEDED:
        yield from _difference(name, by)
    for name in _SHARED:
        yield from _difference(name, _who_have(name, by))


def harmless(by: Mapping[str, Packages]) -> Iterator[str]:
    """Likewise, for what somebody lacks and need not have, and for what may differ."""
    for name in _SHARED:
        if not any(_difference(name, _who_have(name, by))):
            yield from _difference(name, by)
    for name in _OTHERS:
        yield from _difference(name, by)


def _who_have(name: str, by: Mapping[str, Packages]) -> dict[str, Packages]:
    return {who: packages for who, packages in by.items() if packages.get(name) is not None}


def _difference(name: str, by: Mapping[str, Packages]) -> Iterator[str]:
    """One sentence, if somebody has another version than the first of them."""
    shown = {who: _version(packages, name) for who, packages in by.items()}
    first, *_ = [*shown, ""]
    others = {who: version for who, version in shown.items() if version != shown[first]}
    if others:
        where = "here" if first == "notebook" else f"on {first:.80}"
        some = [f"{version} on {who:.80}" for who, version in list(others.items())[:_MOST_SHOWN]]
        more = f" and {len(others) - _MOST_SHOWN} more" if len(others) > _MOST_SHOWN else ""
        yield f"{name} is {shown[first]} {where}, {', '.join(some)}{more}"


def _version(packages: Packages, name: str) -> str:
    version = packages.get(name)
    if version is None:
        return "not installed"
    text = "".join(sign if sign.isprintable() else "?" for sign in str(version)[:40])
    # Bug fix releases of Python unpack what each other packs.
    return ".".join(text.split(".")[:2]) if name == "python" else text


def text(packages: Packages) -> str:
    """`python 3.11, dask 2026.8.0, ...`."""
    shown = {name: _version(packages, name) for name in (*_NEEDED, *_SHARED) if packages.get(name)}
    return ", ".join(f"{name} {version}" for name, version in shown.items())
