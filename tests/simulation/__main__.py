"""`make simulate`: many histories from a fresh seed, and the story of the first that breaks a promise.

python -m tests.simulation [--histories 100000] [--seed N]
"""

from __future__ import annotations

import argparse
import secrets
import sys

from tests.simulation.search import BATCH, search, search_all


def main() -> int:
    """Exit status: 0 when every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--histories", type=int, default=100_000)
    parser.add_argument("--seed", type=int, help="that a story named, to tell it again")
    options = parser.parse_args()

    def tell(done: int, seconds: float) -> None:
        rate = done / seconds if seconds else 0.0
        sys.stdout.write(f"\r{done} histories in {seconds:.0f} s, {rate:.0f} a second")
        sys.stdout.flush()

    if options.seed is not None:
        story = search(options.seed, BATCH)
    else:
        first_seed = secrets.randbelow(2**32)
        sys.stdout.write(f"{options.histories} histories from seed {first_seed}\n")
        story = search_all(first_seed, options.histories, tell)
    sys.stdout.write(f"\n{story or 'Every promise was kept.'}\n")
    return 0 if story is None else 1


if __name__ == "__main__":
    sys.exit(main())
