"""Measure, on a fresh playground where it takes a site, and print a table of medians.

    python -m benchmarks [--runs 3] [--only connected,queue,latency,quiet] [--keep]

connected  scale(1) and scale(8) in a notebook to workers connected, beside the same jobs by bare htcondor2
queue      1,000 workers asked for to idle in the queue, and to gone, beside bare htcondor2
latency    from a job's end to the pool's status
planning   what deciding costs: `plan` of 1,000 and 10,000 jobs, and the event loop under 1,000 clusters
slots      why a job waits: an analysis of 3,000 slots
quiet      what 1 and 100 quiet pools cost the schedd and the API server, and memory

Each pair of ours and bare is measured in the same run, on the same site; look at the ratios.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from functools import partial

from benchmarks import connected, latency, planning, queue, quiet, slots
from playground.build.progress import say, step
from playground.node.node import Node
from playground.site.site import Site, apply

Figures = dict[str, float]
Measure = partial[Figures]

PARTS = ("connected", "queue", "latency", "quiet", "planning", "slots")
WITHOUT_SITE = ("quiet", "planning", "slots")


def _of_site(site: Site) -> dict[str, Sequence[Measure]]:
    return {
        "connected": (
            partial(connected.floor, site),
            partial(connected.scale, site, 1),
            partial(connected.scale, site, 8),
        ),
        "queue": (partial(queue.thousand, site),),
        "latency": (partial(latency.change_to_status, site),),
    }


def _take(measures: Sequence[Measure], runs: int) -> dict[str, list[float]]:
    rows: dict[str, list[float]] = {}
    for number in range(runs):
        for measure in measures:
            with step(f"measuring {_name(measure)}, run {number + 1} of {runs}"):
                for name, figure in measure().items():
                    rows.setdefault(name, []).append(figure)
                    say(f"{name}: {figure:.2f}")  # a run that is cut short has said what it knew
    return rows


def _name(measure: Measure) -> str:
    numbers = [str(value) for value in measure.args if isinstance(value, int)]
    return f"{measure.func.__module__.rpartition('.')[2]}.{measure.func.__name__}({', '.join(numbers)})"


def _measure_site(parts: Sequence[str], runs: int, keep: bool) -> dict[str, list[float]]:
    node = Node("bench")
    node.up(fresh=True)
    try:
        of_site = _of_site(apply(node))
        return {name: row for part in parts for name, row in _take(of_site[part], runs).items()}
    finally:
        if not keep:
            node.down()


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3, help="how often each figure is taken (default: 3)")
    parser.add_argument("--only", default=",".join(PARTS), help="these parts, with commas (default: all)")
    parser.add_argument("--keep", action="store_true", help="leave the site up afterwards")
    options = parser.parse_args()
    parts = options.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    table: dict[str, list[float]] = {}
    if "quiet" in parts:
        table |= _take((partial(quiet.pools, 1), partial(quiet.pools, 100)), options.runs)
    if "planning" in parts:
        plans = [partial(planning.steady, count) for count in (1000, 10_000)]
        table |= _take((*plans, partial(planning.thousand_clusters)), options.runs)
    if "slots" in parts:
        table |= _take((partial(slots.three_thousand),), options.runs)
    if on_site := [part for part in parts if part not in WITHOUT_SITE]:
        table |= _measure_site(on_site, options.runs, options.keep)
    say(f"{'':<66}{'min':>9}{'median':>9}{'max':>9}")
    for name, row in table.items():
        figures = (min(row), statistics.median(row), max(row))
        say(f"{name:<66}" + "".join(f"{figure:9.2f}" for figure in figures))


if __name__ == "__main__":
    main()
