"""What the operator counts, for Prometheus: written where things happen, served by `health`."""

from __future__ import annotations

from collections.abc import Collection

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

ACTIONS = Counter("htcdask_actions", "Actions done.", ["action"])
FAILED_ACTIONS = Counter("htcdask_actions_failed", "Actions that HTCondor or Kubernetes refused.", ["action"])
SUBMITTED = Counter("htcdask_workers_submitted", "Worker jobs submitted.")
CYCLE_SECONDS = Histogram("htcdask_cycle_seconds", "From waking to the status written.", buckets=_SECONDS)
CYCLE_FAILURES = Counter("htcdask_cycle_failures", "Cycles that ended with an error.")
CONDOR_QUESTIONS = Counter("htcdask_condor_questions", "What the access point was asked to do.", ["method"])
KUBE_REQUESTS = Counter(
    "htcdask_kube_requests", "Requests to the API server, but for kopf's own.", ["verb", "resource"]
)
POLL_SECONDS = Histogram("htcdask_poll_seconds", "One question to the access point.", buckets=_SECONDS)
CONDOR_UP = Gauge("htcdask_condor_up", "1 while the access point answers.")
LEADER = Gauge("htcdask_leader", "1 while this operator holds the lease, and works.")
POOLS = Gauge("htcdask_pools", "Pools that the API server shows.")
POOLS_BY_REASON = Gauge(
    "htcdask_pools_by_reason", "Pools by the reason of their condition Ready.", ["reason"]
)
SITE_TROUBLE = Gauge("htcdask_site_trouble", "1 while many pools have this one trouble.", ["reason"])
AVOIDED = Gauge(
    "htcdask_machines_avoided",
    "1 for each machine where workers kept failing: no new ones go there.",
    ["machine"],
)
MOST_MACHINES = 100  # their names are others' words
JOBS = Gauge("htcdask_jobs", "Worker jobs of ours in the queue.", ["status"])


def avoid(machines: Collection[str]) -> None:
    """These are avoided now."""
    AVOIDED.clear()
    for machine in sorted(machines)[:MOST_MACHINES]:
        AVOIDED.labels(machine).set(1)
