"""What the cache holds, what of it is needed, and what may go. The command line calls it.

Kept is what
- the last build of a checkout that still exists was made of: each checkout notes that (`note`),
- a process of this machine runs from, names in its command line or has mounted: an instance that is up,
- was used in the last day: somebody else may be building just this, or not have noted it yet. Of images, of
  which a day of work on the code makes dozens, the last three of each name.
All else can be made again from its sources, and goes. A folder of an instance is never taken away here, but
one that has been down for a week loses its image store, which the next `up` fills again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from playground.build import buildah, cache, paths

DAY = 86400.0
_UNUSED = DAY
_DOWN = 7 * DAY
_RECENT_IMAGES = 3
# What is made from sources; the folders of the cache in which each entry is one such thing.
KINDS = ("programs", "images", "rootfs", "condor", "cvmfs")
# Layers that nobody names cannot be told apart, so beyond this buildah begins anew, from the archives.
_STORE = 4 << 30


@dataclass(frozen=True)
class Entry:
    """A thing of the cache, why it is kept (or nothing, when it may go), and when it was used last."""

    path: Path
    why: str
    used: float

    @property
    def size(self) -> int:
        """What it takes on the disk, in bytes."""
        return size(self.path)


def note(made: Iterable[Path]) -> None:
    """Remember what this checkout is made of now, in place of what it was made of before."""
    own = {str(cache.entry(path)) for path in made if path.is_relative_to(paths.cache())}
    folder = paths.cache() / "checkouts"
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(str(paths.REPOSITORY).encode()).hexdigest()[:16]
    draft = folder / f".{name}.{os.getpid()}"
    draft.write_text(json.dumps({"checkout": str(paths.REPOSITORY), "needs": sorted(own)}, indent=1) + "\n")
    draft.replace(folder / f"{name}.json")


def entries(now: float) -> list[Entry]:
    """All that is made from sources, with the reason for which it is kept."""
    noted, running = _noted(), "\n".join(_running())
    found = []
    recent: Counter[str] = Counter()
    for kind in KINDS:
        newest_first = sorted(_things(paths.cache() / kind), key=lambda path: -path.stat().st_mtime)
        for path in newest_first:
            used = path.stat().st_mtime
            why = noted.get(str(path), "")
            # The table of mounts has paths from their own disk on, so the end of ours has to do.
            if f"{kind}/{path.name}" in running:
                why = "in use by a process"
            elif not why and now - used < _UNUSED:
                name = path.name.rpartition("-")[0]
                recent[name] += 1
                if kind != "images" or recent[name] <= _RECENT_IMAGES:
                    why = "used in the last day"
            found.append(Entry(path, why, used))
    return found


def stores(now: float) -> list[Entry]:
    """The image stores of instances, and buildah's."""
    running = "\n".join(_running())
    found = []
    for name in paths.instances():
        state = paths.instance(name)
        used = max(path.stat().st_mtime for path in (state, *state.glob("*.json")))
        why = "the instance is up" if f"{state}\n" in running or f"{state}/" in running else ""
        if not why and now - used < _DOWN:
            why = "down for less than a week"
        if (state / "containerd").exists():
            found.append(Entry(state / "containerd", why, used))
    store = paths.cache() / "buildah"
    if store.exists():
        why = "" if size(store) > _STORE else "makes the next image build quick"
        found.append(Entry(store, why, store.stat().st_mtime))
    return found


def prune(now: float) -> int:
    """Remove what may go; returns how many bytes that were."""
    return sum(_remove(entry) for entry in [*entries(now), *stores(now)] if not entry.why)


def _remove(entry: Entry) -> int:
    freed = entry.size
    if entry.path == paths.cache() / "buildah":
        buildah.empty()
        return freed
    with (entry.path.parent / "lock").open("a") if entry.path.name == "containerd" else nullcontext() as lock:
        try:
            if lock is not None:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0  # the instance is just starting
        # Out of the way first, so that nobody takes a half of it for the whole.
        trash = entry.path.with_name(f".{entry.path.name}.old")
        cache.remove(trash)
        entry.path.replace(trash)
        cache.remove(trash)
    return freed


def size(path: Path) -> int:
    """Bytes on the disk of a file or folder, hard links once."""
    seen, total = set(), 0
    for each in _walk(path):
        status = os.lstat(each)
        if status.st_ino not in seen:
            seen.add(status.st_ino)
            total += status.st_blocks * 512
    return total


def _walk(path: Path) -> Iterator[str]:
    yield str(path)
    if path.is_dir() and not path.is_symlink():
        for folder, folders, files in os.walk(path):
            yield from (os.path.join(folder, name) for name in (*folders, *files))  # noqa: PTH118 (quicker)


def _things(folder: Path) -> list[Path]:
    names = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in names if not path.name.startswith(".") and path.suffix != ".lock"]


def _noted() -> dict[str, str]:
    """What each checkout that exists said that it needs."""
    found: dict[str, str] = {}
    for file in sorted((paths.cache() / "checkouts").glob("*.json")):
        noted = json.loads(file.read_text())
        if not Path(noted["checkout"]).is_dir():
            file.unlink(missing_ok=True)
            continue
        found |= dict.fromkeys(noted["needs"], f"needed by {noted['checkout']}")
    return found


def _running() -> Iterator[str]:
    """What processes run from, name and have mounted: lines that hold paths."""
    seen = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield (process / "cmdline").read_bytes().replace(b"\0", b"\n").decode(errors="replace")
            yield str((process / "exe").readlink())
            space = str((process / "ns" / "mnt").readlink())
            if space not in seen:
                seen.add(space)
                yield (process / "mountinfo").read_text(errors="replace")
        except OSError:
            continue  # it ended meanwhile, or is a thread of the kernel


def report(now: float) -> list[str]:
    """What the cache holds, for people: the largest first, and what may go."""
    held = [(entry, entry.size) for entry in [*entries(now), *stores(now)]]
    lines = [f"{paths.cache()}: {readable(size(paths.cache()))}"]
    for entry, bytes_ in sorted(held, key=lambda pair: -pair[1]):
        name = entry.path.relative_to(paths.cache())
        lines.append(f"{readable(bytes_):>9}  {name!s:<40} {entry.why or 'may go'}")
    spare = sum(bytes_ for entry, bytes_ in held if not entry.why)
    lines.append(f"{readable(spare)} may go: that happens after each build, or now by `cache --prune`.")
    lines.append("`down --forget` ends an instance and takes its folder away as well.")
    return lines


def readable(bytes_: int) -> str:
    """A size as people say it."""
    return f"{bytes_ / 1e9:.1f} GB" if bytes_ >= 1e9 else f"{bytes_ / 1e6:.0f} MB"
