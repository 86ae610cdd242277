"""Measure the loop on a fresh playground and print a table of medians.

    python -m benchmarks [--runs 3] [--keep]

Figures: from `scale(4)` in a notebook to the submit call, the first and the last worker connected;
from a job's end to the pool's status; memory of operator and agent with ten pools and 100 workers.
Floor of the same run: a worker of the same image started on the access point without HTCondor and Kubernetes.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

from benchmarks import footprint, latency
from playground.node import Node
from playground.progress import say, step
from playground.site import Site, apply

Figures = dict[str, float]


def _median(
    measure: Callable[[Site], Figures], site: Site, runs: int
) -> dict[str, tuple[float, float, float]]:
    rows: dict[str, list[float]] = {}
    for number in range(runs):
        with step(f"{measure.__module__.rpartition('.')[2]}.{measure.__name__}, run {number + 1} of {runs}"):
            for name, figure in measure(site).items():
                rows.setdefault(name, []).append(figure)
                say(f"{name}: {figure:.2f}")  # a run that is cut short has said what it knew
    return {name: (min(all_), statistics.median(all_), max(all_)) for name, all_ in rows.items()}


def main() -> None:
    """Bring a site up, measure, print, take it away."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3, help="how often each figure is taken (default: 3)")
    parser.add_argument("--keep", action="store_true", help="leave the site up afterwards")
    options = parser.parse_args()
    node = Node("bench")
    node.up(fresh=True)
    try:
        site = apply(node)
        table = _median(latency.floor, site, options.runs)
        table |= _median(latency.scale_up, site, options.runs)
        table |= _median(latency.change_to_status, site, options.runs)
        table |= _median(footprint.memory, site, 1)
    finally:
        if not options.keep:
            node.down()
    say(f"{'':<58}{'min':>9}{'median':>9}{'max':>9}")
    for name, figures in table.items():
        say(f"{name:<58}" + "".join(f"{figure:9.2f}" for figure in figures))
    floor = table["floor: one worker without HTCondor, connected, s"][1]
    say(f"first worker after scale(4): {table['scale(4) to first connected, s'][1] / floor:.1f} x the floor")


if __name__ == "__main__":
    main()
