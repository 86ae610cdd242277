"""An access point with a rule that refuses the anchor: workers bring their files, and compute."""

from playground.site.site import Site
from tests.e2e import clusters, faults
from tests.e2e.clusters import SMALL
from tests.e2e.look import clean, condition, queue, settled

WORDS = "No jobs that never run"


def test_workers_come_and_go_where_the_anchor_is_refused(site: Site) -> None:
    """Up, the operator killed, further up, down, and nothing is left."""
    with faults.anchors_refused(site, WORDS):
        [cluster] = clusters.new(site)
        clusters.add_pool(site, cluster, SMALL)
        clusters.scale(site, cluster, 2)
        settled(site, cluster, 2, within=90)
        said = condition(site, cluster, "CondorReachable")
        assert (said["status"], said["reason"]) == ("True", "FilesSpooledWithWorkers")
        assert WORDS in said["message"]
        before = {(job["ClusterId"], job["ProcId"]) for job in queue(site, cluster)}
        assert len(before) == 2, "and no anchor"
        faults.kill_operator(site)
        faults.operator_starts(site)
        clusters.scale(site, cluster, 3)
        settled(site, cluster, 3, within=90)
        assert before < {(job["ClusterId"], job["ProcId"]) for job in queue(site, cluster)}
        clusters.scale(site, cluster, 1)
        settled(site, cluster, 1)
        clusters.stop(site, cluster)
        clean(site, cluster)
