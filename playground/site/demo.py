"""`make demo`: a site, a notebook's worth of work on it, an empty queue, and what to try next."""

from __future__ import annotations

import json
import os
import sys
import time

from playground.build.errors import PlaygroundError
from playground.build.paths import REPOSITORY
from playground.build.progress import say, step
from playground.node.node import Node
from playground.site.site import Site, apply

QUEUE = ("condor_q", "-allusers", "-constraint", "HTCDaskOperator =!= undefined")
EMPTY_WITHIN = 30.0  # seconds


def run(name: str) -> None:
    """The whole demonstration on the instance `name`, which stays up afterwards."""
    node = Node(name)
    node.up()
    site = apply(node)
    say("\nA notebook with no condor tools, no token, no Kubernetes right runs examples/first_cluster.py:\n")
    site.notebook((REPOSITORY / "examples/first_cluster.py").read_text(encoding="utf-8"), echo=True)
    with step("waiting for the access point's queue to be empty"):
        _await_empty_queue(site)
    say("\n$ kubectl -n gateway get htcworkerpools")
    say(site.kubectl("-n", "gateway", "get", "htcworkerpools"))
    say("$ condor_q -allusers")
    say(site.condor("condor_q", "-allusers"))
    say(_next_steps(site, name))


def _await_empty_queue(site: Site) -> None:
    deadline = time.monotonic() + EMPTY_WITHIN
    while jobs := _jobs(site):
        if time.monotonic() > deadline:
            raise PlaygroundError(
                f"{len(jobs)} jobs are still in the queue {EMPTY_WITHIN:.0f} s after shutdown: {jobs}; "
                "see `python -m playground logs htcdask`"
            )
        time.sleep(0.5)


def _jobs(site: Site) -> list[dict[str, object]]:
    text = site.condor(*QUEUE, "-json", "-attributes", "ClusterId,JobStatus,HTCDaskRole,HTCDaskPool")
    found: list[dict[str, object]] = json.loads(text) if text.strip() else []
    return found


def _next_steps(site: Site, name: str) -> str:
    play = f"{os.path.relpath(sys.executable)} -m playground"
    if name != "demo":
        play += f" --name {name}"
    return f"""
The site stays up. What to try next:
  in a browser  {site.jupyter_url}
                  JupyterLab; begin with first_cluster.ipynb
  by notebook   {play} notebook            # a Python prompt in the notebook pod; then:
                  from htcdaskgateway import HTCGateway
                  cluster = HTCGateway().new_cluster(); cluster.adapt(0, 8); client = cluster.get_client()
  by kubectl    {play} kubectl -n gateway get htcwp --watch
                {play} kubectl explain htcworkerpools.spec.template
  by condor     {play} condor condor_q -allusers
  the gateway   {site.gateway_url}   (user alice, password {site.password})
  take it away  {play} down
"""
