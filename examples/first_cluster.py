"""A notebook's worth of work on HTCondor workers: run it where `HTCGateway()` finds your gateway.

    python first_cluster.py [container image as the execute nodes see it]

It makes a cluster, takes 8 workers, computes pi from random points on all of them, shows the result and which
worker did what when, goes down to 2 workers, and shuts down. `make demo` runs it in a notebook pod.
"""

import random
import sys
import time

from distributed import get_worker

from htcdaskgateway import HTCGateway

WORKERS = 8
TASKS = 64
POINTS = 200_000


def hits(seed):
    """How many of POINTS random points fall into the quarter circle; who counted, from when to when."""
    begun = time.time()
    draw = random.Random(seed).random
    inside = sum(draw() ** 2 + draw() ** 2 < 1 for _ in range(POINTS))
    return inside, get_worker().name, begun, time.time()


def timeline(results, width=60):
    """One line a worker: `#` where it computed."""
    start = min(begun for _, _, begun, _ in results)
    scale = width / max(ended - start for _, _, _, ended in results)
    lines = {}
    for _, worker, begun, ended in results:
        line = lines.setdefault(worker, ["."] * width)
        for column in range(int((begun - start) * scale), min(width, int((ended - start) * scale) + 1)):
            line[column] = "#"
    return "\n".join(f"  {worker:>12} {''.join(line)}" for worker, line in sorted(lines.items()))


def main(images):
    """The whole of it, with the time of each step."""
    clock = time.monotonic()

    def say(what):
        print(f"[{time.monotonic() - clock:5.1f} s] {what}", flush=True)

    gateway = HTCGateway()
    with gateway.new_cluster(**({"container_image": images[0]} if images else {})) as cluster:
        say(f"cluster {cluster.name}")
        asked = time.monotonic()
        cluster.scale(WORKERS)
        with cluster.get_client() as client:
            client.wait_for_workers(1, timeout=120)
            say(f"first worker, {time.monotonic() - asked:.1f} s after scale({WORKERS})")
            client.wait_for_workers(WORKERS, timeout=180)
            say(f"{WORKERS} workers, {time.monotonic() - asked:.1f} s after scale({WORKERS})")
            results = client.gather(client.map(hits, range(TASKS)))
            pi = 4 * sum(inside for inside, *_ in results) / (TASKS * POINTS)
            say(f"pi is about {pi:.4f}, from {TASKS * POINTS:,} points in {TASKS} tasks:")
            print(timeline(results), flush=True)
            cluster.scale(2)
            while len(client.nthreads()) > 2:
                time.sleep(0.2)
            say("scaled down to 2 workers")
    say("cluster shut down")


if __name__ == "__main__":
    main(sys.argv[1:])
