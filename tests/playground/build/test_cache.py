"""Nothing is made twice, and what is half made is not there."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from playground.build import cache, paths


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return paths.cache() / "images" / "one.tar"


def test_many_make_it_once_and_say_so_once(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = []

    def make(draft: Path) -> None:
        made.append(draft)
        time.sleep(0.05)
        draft.touch()

    threads = [threading.Thread(target=cache.once, args=(target, "making one", make)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert capsys.readouterr().err.count("... making one") == 1


def test_what_failed_on_its_way_is_not_there(target: Path) -> None:
    def fail(draft: Path) -> None:
        draft.touch()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        cache.once(target, "making one", fail)
    assert not target.exists()
    assert cache.once(target, "making one", Path.touch) == target


def test_each_use_is_noted_at_the_thing_and_its_folder(target: Path) -> None:
    program = paths.cache() / "programs" / "module-key" / "one"
    cache.once(program, "making one", Path.touch)
    os.utime(program, (0, 0))
    os.utime(program.parent, (0, 0))
    cache.once(program, "making one", Path.touch)
    assert program.stat().st_mtime > 0
    assert cache.entry(program).stat().st_mtime > 0
