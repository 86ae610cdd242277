"""HTCondor is away for everybody: who runs the site is told once, and once more when it is over."""

import json
import re
import time
from typing import Any

from playground.site.site import Site
from tests.e2e import clusters, faults
from tests.e2e.look import condition, eventually, status

HELD = 45  # seconds: longer than a pool's own Event waits for others


def test_many_pools_without_htcondor_are_one_event_for_the_admin_and_none_of_their_own(site: Site) -> None:
    everyone = [clusters.by_hand(site, 1).name for _ in range(6)]
    eventually(lambda: [status(site, name).get("idle") for name in everyone], 60, "jobs are idle", all)
    announced = len(events(site, "htcdask"))

    with faults.condor_down(site):
        began = time.monotonic()
        eventually(lambda: len(events(site, "htcdask")), 60, "it is announced", lambda n: n > announced)
        for cluster in everyone:
            found = condition(site, cluster, "CondorReachable")
            assert (found["status"], found["reason"]) == ("False", "CondorUnreachable")
        time.sleep(max(0.0, began + HELD - time.monotonic()))

    (began_event, over_event) = eventually(
        lambda: events(site, "htcdask")[announced:], 240, "it is over", lambda told: len(told) == 2
    )
    assert (began_event["type"], began_event["reason"]) == ("Warning", "CondorUnreachable")
    told_of = re.match(r"(\d+) of \d+ pools, of \d+ users?, have told of ", began_event["message"])
    assert told_of is not None, began_event["message"]
    assert int(told_of[1]) >= len(everyone)  # ended pools of earlier tests may stand beside them
    assert "alice" not in began_event["message"]
    assert (over_event["type"], over_event["reason"]) == ("Normal", "SiteTroubleOver")
    assert over_event["message"].startswith("CondorUnreachable is over. It was seen for ")
    for cluster in everyone:
        assert condition(site, cluster, "CondorReachable")["status"] == "True"
    told = [event["reason"] for event in events(site, "gateway") if is_of(event, everyone)]
    assert "Scaled" in told
    assert {"CondorUnreachable", "CondorReachable"}.isdisjoint(told)
    for cluster in everyone:
        clusters.delete(site, cluster)


def events(site: Site, namespace: str) -> list[dict[str, Any]]:
    """Those of a namespace that HTCDask has written, in their order."""
    found = json.loads(site.kubectl("-n", namespace, "get", "events", "-o", "json"))["items"]
    ours = [event for event in found if event.get("reportingComponent") == "htcdask.org"]
    return sorted(ours, key=lambda event: str(event["eventTime"]))


def is_of(event: dict[str, Any], names: list[str]) -> bool:
    """Whether it is about a pool of one of these clusters."""
    return any(name in event["involvedObject"]["name"] for name in names)
