"""What of the cache may go, and what may not."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from pathlib import Path

import pytest

from playground import cli
from playground.build import paths, pruning

NOW = time.time()
LONG_AGO = NOW - 3 * pruning.DAY


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return paths.cache()


def thing(cache: Path, name: str, used: float = LONG_AGO) -> Path:
    """A file of the cache, last used at that time, as is the folder that it lies in."""
    path = cache / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 5000)
    for each in (path, path.parent):
        os.utime(each, (used, used))
    return path


def test_what_nobody_needs_goes_and_its_size_is_told(cache: Path) -> None:
    old = thing(cache, "images/old.tar")
    assert pruning.prune(NOW) >= 5000
    assert not old.exists()
    assert list(old.parent.iterdir()) == []


def test_what_the_last_build_of_a_checkout_is_made_of_stays(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former, current = thing(cache, "images/dask-1.tar"), thing(cache, "images/dask-2.tar")
    program = thing(cache, "programs/kubernetes-1/kubelet")
    other = tmp_path / "checkout"
    other.mkdir()
    monkeypatch.setattr(paths, "REPOSITORY", other)
    pruning.note([former, program])
    pruning.note([current, program, Path("/envtest/kubectl")])
    pruning.prune(NOW)
    assert [path.exists() for path in (former, current, program)] == [False, True, True]
    other.rmdir()  # with the checkout goes what it needed
    pruning.prune(NOW)
    assert [path.exists() for path in (current, program.parent)] == [False, False]


def test_two_checkouts_do_not_lose_each_others(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {name: thing(cache, f"images/dask-{name}.tar") for name in ("one", "two")}
    for name, path in made.items():
        (tmp_path / name).mkdir()
        monkeypatch.setattr(paths, "REPOSITORY", tmp_path / name)
        pruning.note([path])
    assert pruning.prune(NOW) == 0


def test_what_was_used_in_the_last_day_stays(cache: Path) -> None:
    recent = thing(cache, "images/dask-1.tar", NOW - pruning.DAY / 2)
    pruning.prune(NOW)
    assert recent.exists()


def test_of_a_days_many_images_the_last_three_of_a_name_stay(cache: Path) -> None:
    made = [thing(cache, f"images/dask-{number}.tar", NOW - 100 * number) for number in range(5)]
    other = thing(cache, "images/dask-deps-1.tar", NOW - 1000)
    pruning.prune(NOW)
    assert [path.exists() for path in made] == [True, True, True, False, False]
    assert other.exists()


def test_what_a_process_runs_from_or_names_stays(cache: Path) -> None:
    program = thing(cache, "programs/kubernetes-1/sleep")
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    named = thing(cache, "cvmfs/abc")
    for path in (program.parent, named):
        os.utime(path, (LONG_AGO, LONG_AGO))
    processes = [
        subprocess.Popen([program, "60"]),
        subprocess.Popen(["tail", "-f", named], stdout=subprocess.DEVNULL),
    ]
    try:
        for process in processes:  # for a moment after its start a process has no command line
            while not Path(f"/proc/{process.pid}/cmdline").read_bytes():
                time.sleep(0.01)
        pruning.prune(NOW)
        assert program.exists() and named.exists()
    finally:
        for process in processes:
            process.kill()
            process.wait()
    pruning.prune(NOW)
    assert not program.exists() and not named.exists()


@pytest.mark.parametrize(("days", "there"), [(1, True), (8, False)])
def test_an_instance_that_is_long_down_loses_its_image_store_alone(
    cache: Path, days: int, there: bool
) -> None:
    used = NOW - days * pruning.DAY
    store = thing(cache, "instances/demo/containerd/content", used).parent
    plan = thing(cache, "instances/demo/plan.json", used)
    pruning.prune(NOW)
    assert store.exists() == there
    assert plan.exists()


def test_an_instance_that_is_just_starting_keeps_it(cache: Path) -> None:
    store = thing(cache, "instances/demo/containerd/content").parent
    with (store.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for each in (store, store.parent):
            os.utime(each, (NOW - 9 * pruning.DAY,) * 2)
        pruning.prune(NOW)
        assert store.exists()


def test_the_command_line_says_what_is_there_and_why(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    thing(cache, "images/old.tar")
    thing(cache, "images/new.tar", time.time())
    assert cli.main(["cache"]) == 0
    shown = capsys.readouterr().out
    assert str(cache) in shown
    assert [line.split(maxsplit=3)[3] for line in shown.splitlines() if "old.tar" in line] == ["may go"]
    assert "used in the last day" in next(line for line in shown.splitlines() if "new.tar" in line)
    assert cli.main(["cache", "--prune"]) == 0
    assert "old.tar" not in capsys.readouterr().out


def test_forgetting_an_instance_takes_its_folder_away(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    thing(cache, "instances/old/plan.json")
    assert cli.main(["down", "--name", "old", "--forget"]) == 0
    assert not (cache / "instances/old").exists()
