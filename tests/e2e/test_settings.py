"""Settings that end-to-end tests of something else do not run, each seen to act on real parts.

By a second release, whose operator has these settings and nothing else to do. Which test runs which setting
stands in tests/unit/test_settings_run.py.
"""

import json
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from htcdask_api import manifest, names
from playground.site import wait
from playground.site.site import Site
from tests.e2e import clusters
from tests.e2e.clusters import IDLE, SMALL
from tests.e2e.look import clean, eventually, settled, status
from tests.e2e.releases import second_release

IMAGES = "/cvmfs/unpacked.cern.ch"
SETTINGS = {
    "poll.activeSeconds": 0.2,
    "poll.quietSeconds": 3,
    "healing.backoffFirstSeconds": 1,
    "healing.backoffLastSeconds": 2,
    "healing.breakerFailures": 2,
    "healing.vacateSeconds": 7,
    "healing.endedSeconds": 90,
    "jobExpirySeconds": 900,
    "leader.leaseSeconds": 7,
    "healthPort": 9090,
    "accountingGroup": "group_dask",
    "limits.maxReplicasPerPool": 3,
    "limits.maxReplicasPerUser": 5,
    "limits.maxReplicas": 7,
    "limits.maxCoresPerUser": 2000,
    "limits.maxMemoryPerUser": "20Gi",
    "limits.maxGpusPerUser": 2,
    "limits.maxCores": 3000,
    "limits.maxMemory": "30Gi",
    "limits.maxGpus": 3,
    "limits.maxRuntimeSeconds": 7000,
    "defaultPool": False,
    "allowUserExpressions": False,
    "allowedImages": [f"{IMAGES}/*"],
    "imagePathTemplate": f"{IMAGES}/{{registry}}/{{name}}",
    "profiles.special": {
        "template": {"cores": 999},
        "requirements": "TARGET.Cpus > 0",
        "rank": "TARGET.Memory",
        "accountingGroup": "group_special",
        "attributes": {
            "MyExperiment": "dune",
            "MyTags": ["a", 1],
            "MyWeight": {"expression": "RequestCpus * 2"},
        },
        "outOfMemory": {"maxMemory": "4Gi"},
        "maxReplicas": 1,
    },
    "profiles.private": {"users": ["bob", "dune-*"]},
    "profiles.shared": {"users": ["bob"], "groups": ["dune"]},
}
NOWHERE = {"disk": "500Ti"}
"""As IDLE, and small in all that limits count."""
AD = (
    "AcctGroup,AcctGroupUser,AllowedExecuteDuration,ContainerImage,RequestCpus,Requirements,Rank,MyExperiment,MyTags,MyWeight,JobMaxVacateTime,"
    f"LeaveJobInQueue,QDate,{names.AD_POOL_UID},{names.AD_OPERATOR},{names.AD_LEASE},{names.AD_ROLE},"
    f"{names.AD_PROFILE_REQUIREMENTS},{names.AD_PROFILE_RANK}"
)


@dataclass(frozen=True)
class Release:
    """The second release, with SETTINGS."""

    site: Site
    name: str
    namespace: str  # of its pools

    def cluster(self, wanted: int, user: str = "alice", groups: tuple[str, ...] = (), **config: str) -> str:
        """A DaskCluster that asks for workers, without a pool."""
        name = uuid.uuid4().hex
        clusters.make(self.site, name, self.namespace)
        spec = {"username": user, "config": config, names.WANTED_FIELD: wanted, names.GROUPS_FIELD: groups}
        clusters.patch(self.site, name, {"spec": spec}, namespace=self.namespace)
        return name

    def pool(self, cluster: str, **template: Any) -> str:
        """A pool of that cluster."""
        return clusters.add_pool(self.site, cluster, template, self.namespace)

    def status(self, cluster: str) -> dict[str, Any]:
        name = names.pool_name("default", cluster)
        text = self.site.kubectl("-n", self.namespace, "get", names.PLURAL, name, "-o", "json")
        return dict(json.loads(text).get("status", {}))

    def reason(self, cluster: str, kind: str = "Ready") -> str:
        conditions = self.status(cluster).get("conditions", [])
        return next((str(c["reason"]) for c in conditions if c["type"] == kind), "")

    def ads(self, pool: str) -> list[dict[str, Any]]:
        """The worker jobs of a pool, as they are in the queue."""
        text = self.site.condor("condor_q", "-allusers", "-json", "-attributes", AD)
        every = json.loads(text) if text.strip() else []
        return [job for job in every if job.get(names.AD_POOL_UID) == pool and job[names.AD_ROLE] == "worker"]

    def ad(self, pool: str) -> dict[str, Any]:
        """One of them."""
        return eventually(lambda: self.ads(pool), 60, "a worker's job")[0]

    def questions(self) -> int:
        """How often the operator has asked for its jobs."""
        operator = f"app.kubernetes.io/name=htcdask,app.kubernetes.io/instance={self.name}"
        where = ("-n", self.name, "get", "pods", "-l", operator, "-o", "jsonpath={.items[0].metadata.name}")
        path = f"/api/v1/namespaces/{self.name}/pods/{self.site.kubectl(*where)}:9090/proxy/metrics"
        said = re.search(
            r'^htcdask_condor_questions_total\{method="query"\} (\S+)$',
            self.site.kubectl("get", "--raw", path),
            re.MULTILINE,
        )
        return int(float(said[1])) if said else 0

    def clean(self) -> None:
        """Take the clusters away, and wait for the end of their pools."""
        here = ("-n", self.namespace)
        self.site.kubectl(*here, "delete", "daskclusters.gateway.dask.org", "--all", "--wait=false")
        eventually(
            lambda: self.site.kubectl(*here, "get", names.PLURAL, "-o", "name"),
            60,
            "no pool is left",
            lambda found: not found,
        )


@pytest.fixture(scope="module")
def installed(site: Site) -> Iterator[Release]:
    # Jobs of an earlier run count as nobody's workers here.
    settings = {**SETTINGS, "operatorId": f"tried-{uuid.uuid4().hex[:6]}"}
    given = [f"--set-json=settings.{key}={json.dumps(value)}" for key, value in settings.items()]
    with second_release(site, *given) as (name, namespace):
        yield Release(site, name, namespace)


@pytest.fixture
def release(installed: Release) -> Iterator[Release]:
    yield installed
    installed.clean()


def test_how_often_the_access_point_is_asked(release: Release) -> None:
    """Every 3 s while the queue is empty, and several times a second while a job waits."""
    time.sleep(12)  # a change is followed closely for ten seconds
    before = release.questions()
    time.sleep(12)
    assert 3 <= release.questions() - before <= 6
    cluster = release.cluster(1)
    pool = release.pool(cluster, **IDLE)
    release.ad(pool)
    before = release.questions()
    time.sleep(5)
    assert release.questions() - before > 8


def test_what_a_site_writes_into_every_job(release: Release) -> None:
    """Accounting, times and limits, by an image name of the gateway that becomes a path."""
    cluster = release.cluster(1, image="docker.io/htcdask/worker:latest")
    pool = manifest.pool(release.namespace, names.pool_name("default", cluster), cluster, template=IDLE)
    made = ("apply", "-f", "-", "-o", "jsonpath={.metadata.uid}")
    ad = release.ad(release.site.kubectl(*made, input=json.dumps(pool)).strip())
    assert ad["ContainerImage"] == f"{IMAGES}/docker.io/htcdask/worker:latest"
    assert (ad["AcctGroup"], ad["AcctGroupUser"]) == ("group_dask", "alice")
    assert ad["JobMaxVacateTime"] == 7
    assert ad["AllowedExecuteDuration"] == 7000
    assert "< 90" in str(ad["LeaveJobInQueue"])
    assert 890 <= ad[names.AD_LEASE] - ad["QDate"] <= 910
    assert ad[names.AD_OPERATOR].startswith("tried-")


def test_a_profile_is_all_that_it_says(release: Release) -> None:
    cluster = release.cluster(5)
    pool = release.pool(cluster, profile="special")
    ad = release.ad(pool)
    assert ad["RequestCpus"] == 999
    assert f"(MY.{names.AD_PROFILE_REQUIREMENTS})" in str(ad["Requirements"])
    assert "Cpus > 0" in str(ad[names.AD_PROFILE_REQUIREMENTS])
    assert "Memory" in str(ad[names.AD_PROFILE_RANK])
    assert ad["AcctGroup"] == "group_special"
    assert ad["MyExperiment"] == "dune"
    assert ad["MyTags"] == ["a", 1]
    assert "RequestCpus * 2" in str(ad["MyWeight"])
    assert len(release.ads(pool)) == 1
    assert release.status(cluster)["desiredReplicas"] == 1


def test_limits_for_a_pool_a_user_and_all(release: Release) -> None:
    """3 of one pool, 5 of Alice, 7 of all."""
    desired: list[int] = []
    made: list[str] = []
    for user in ("alice", "alice", "bob"):
        made.append(release.cluster(10, user))
        pool = release.pool(made[-1], **NOWHERE)
        expected = (3, 2, 2)[len(desired)]
        eventually(lambda pool=pool: len(release.ads(pool)), 60, "its jobs", lambda n, e=expected: n == e)  # type: ignore[misc]
        desired.append(release.status(made[-1])["desiredReplicas"])
    assert desired == [3, 2, 2]


@pytest.mark.parametrize(
    "large", [{"cores": 1000}, {"memory": "10Gi"}, {"gpus": 1}], ids=lambda it: next(iter(it))
)
def test_limits_count_what_workers_request(release: Release, large: dict[str, Any]) -> None:
    """For two such workers of one user, and for three of all."""
    for user, expected in (("alice", 2), ("bob", 1)):
        cluster = release.cluster(10, user)
        pool = release.pool(cluster, **NOWHERE, **large)
        eventually(lambda pool=pool: len(release.ads(pool)), 60, "its jobs", lambda n, e=expected: n == e)  # type: ignore[misc]
        assert release.status(cluster)["desiredReplicas"] == expected


def test_a_profile_is_for_whom_it_says(release: Release) -> None:
    hers, his = release.cluster(1, "alice"), release.cluster(1, "bob")
    refused, taken = (release.pool(cluster, **IDLE, profile="private") for cluster in (hers, his))
    assert release.ad(taken)
    eventually(lambda: release.reason(hers), 60, "refused", lambda found: found == "ProfileNotAllowed")
    assert release.ads(refused) == []
    member, other = (release.cluster(1, "alice", groups) for groups in (("cms", "dune"), ("cms", "dune-1")))
    taken, refused = (release.pool(cluster, **IDLE, profile="shared") for cluster in (member, other))
    assert release.ad(taken)
    eventually(lambda: release.reason(other), 60, "refused", lambda found: found == "ProfileNotAllowed")
    assert release.ads(refused) == []


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ({"containerImage": "/cvmfs/elsewhere/image"}, "ImageNotAllowed"),
        ({"requirements": "TARGET.Cpus > 0"}, "ExpressionsNotAllowed"),
        ({"maxRuntimeSeconds": 7001}, "RunTimeNotAllowed"),
    ],
)
def test_what_a_site_does_not_allow(release: Release, template: dict[str, Any], reason: str) -> None:
    cluster = release.cluster(1)
    pool = release.pool(cluster, **IDLE, **template)
    eventually(lambda: release.reason(cluster), 60, reason, lambda found: found == reason)
    assert release.ads(pool) == []


def test_a_cluster_without_a_pool_gets_none_where_the_site_says_so(release: Release) -> None:
    release.cluster(1)
    time.sleep(8)
    assert release.site.kubectl("-n", release.namespace, "get", names.PLURAL, "-o", "name") == ""


def test_how_patient_the_operator_is_with_workers_that_fail(release: Release) -> None:
    """Stalled after two, and still tried every two seconds: their keys are none, so they end at once."""
    cluster = release.cluster(1)
    release.pool(cluster, **SMALL)
    eventually(
        lambda: release.reason(cluster, "Stalled"), 60, "stalled", lambda found: found == "WorkersKeepFailing"
    )
    eventually(
        lambda: release.status(cluster)["recentFailures"], 40, "five failures", lambda found: len(found) >= 5
    )


def test_a_worker_that_is_not_connected_is_reported_as_soon_as_the_site_says(site: Site) -> None:
    """By the site's own release: only a scheduler that answers can tell who is not connected."""
    with site.changed_chart("settings.healing.connectSeconds=2"):
        wait.deployments(site.node, "--namespace=htcdask")
        [cluster] = clusters.new(site)
        clusters.add_pool(site, cluster, SMALL)
        # By the cluster's name: the second release's worker that fails is there too, again and again.
        worker = f"[-]-scheduler-sni.*{cluster.rpartition('.')[2]}.*--tls-ca-file"
        clusters.scale(site, cluster, 1)
        site.condor("timeout", "60", "sh", "-c", f"until pkill -STOP -f -- '{worker}'; do sleep 0.02; done")

        def reasons() -> set[str]:
            return {each["reason"] for each in status(site, cluster).get("explanation", [])}

        try:
            eventually(reasons, 90, "it is reported", lambda found: "NotConnecting" in found)
        finally:
            site.condor("pkill", "-CONT", "-f", "--", worker)
        settled(site, cluster, 1)
        clusters.stop(site, cluster)
        clean(site, cluster)


def test_a_worker_that_is_suspended_for_longer_than_the_site_says_is_replaced(site: Site) -> None:
    with site.changed_chart("settings.healing.suspendedSeconds=4"):
        wait.deployments(site.node, "--namespace=htcdask")
        [cluster] = clusters.new(site)
        uid = clusters.add_pool(site, cluster, SMALL)
        clusters.scale(site, cluster, 1)
        settled(site, cluster, 1)
        site.condor("condor_suspend", "-constraint", f'{names.AD_POOL_UID} == "{uid}" && JobStatus == 2')
        ended = eventually(
            lambda: [each["reason"] for each in status(site, cluster).get("recentFailures", [])],
            90,
            "it is replaced",
        )
        assert ended == ["Suspended"]
        settled(site, cluster, 1)
        clusters.stop(site, cluster)
        clean(site, cluster)


def test_the_lease_is_as_long_as_it_shall_be(release: Release) -> None:
    where = ("-n", release.name, "get", "leases", "-o", "jsonpath={.items[*].spec.leaseDurationSeconds}")
    assert release.site.kubectl(*where) == "7"
