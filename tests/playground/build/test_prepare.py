"""The forecast, and the order in which things are built."""

from __future__ import annotations

from pathlib import Path

from playground.build import images, prepare, programs


def task(name: str, seconds: float) -> prepare.Task:
    return prepare.Task(name, seconds, Path, Path)


def test_everything_that_a_site_needs_is_a_task() -> None:
    assert {each.name for each in prepare.PROGRAMS} == set(programs.NAMES)
    built = {each.name for lane in prepare.LANES for each in lane}
    assert {f"image {name}" for name in images.RECIPES} <= built


def test_the_longest_program_comes_first() -> None:
    seconds = [each.seconds for each in prepare.PROGRAMS]
    assert seconds == sorted(seconds, reverse=True)


def test_what_others_stand_on_comes_before_them() -> None:
    for lane in (prepare.ON_CONDOR, prepare.ON_DEBIAN):
        order = [each.name for each in lane]
        for name, recipe in images.RECIPES.items():
            if recipe.base and f"image {name}" in order:
                assert order.index(f"image {recipe.base}") < order.index(f"image {name}")


def test_the_forecast_names_all_and_follows_the_cores() -> None:
    tasks = [task("small", 60), task("large", 540)]
    assert prepare.forecast(tasks, 2) == "To be built, once, about 5 min on 2 cores: large, small."
    assert "about 3 min on 4 cores" in prepare.forecast(tasks, 4) or "2 min" in prepare.forecast(tasks, 4)
    assert "about 30 s on 2 cores" in prepare.forecast(tasks[:1], 2)


def test_images_wait_for_each_other_however_many_cores_there_are() -> None:
    alone = sum(each.seconds for each in prepare.ON_DEBIAN)
    assert f"about {alone / 60:.0f} min on 64 cores" in prepare.forecast(prepare.ON_DEBIAN, 64)
