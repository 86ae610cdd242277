"""`helm uninstall` as people type it, with default values: whatever is broken, it ends, and nothing is left.

Last of the end-to-end tests by its name: the site's own release goes here, and its CRD. Both come back.
"""

import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from htcdask_api import names
from playground.build import programs
from playground.site import wait
from playground.site.site import CHART, VALUES, Site, install_chart
from tests.e2e import clusters, faults
from tests.e2e.clusters import SMALL
from tests.e2e.look import eventually, queue
from tests.e2e.releases import second_release

CRD = f"{names.PLURAL}.{names.GROUP}"
# Everything that a chart of this project ever makes, and what its hook does.
KINDS = (
    "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings,"
    "roles,rolebindings,deployments,configmaps,serviceaccounts,jobs,pods"
)
HELMS_PATIENCE = 300  # by default


@pytest.fixture
def back(site: Site) -> Iterator[None]:
    """The site's own release comes back, whatever happens."""
    try:
        yield
    finally:
        site.kubectl("-n", "gateway", "delete", "daskclusters.gateway.dask.org", "--all", "--wait=false")
        # One whose uninstallation failed is neither there nor gone.
        if site.node.helm("list", "--uninstalling", "-q", "--namespace=htcdask").strip():
            site.node.helm("uninstall", "htcdask", "--namespace=htcdask", "--no-hooks")
        install_chart(site.node)
        wait_for_crd(site)


def uninstall(site: Site, release: str, namespace: str) -> str:
    """What Helm printed, the hook's words too; it ended within its own patience."""
    helm = [str(programs.path("helm")), f"--kubeconfig={site.node.kubeconfig}"]
    began = time.monotonic()
    outcome = subprocess.run(
        [*helm, "uninstall", release, f"--namespace={namespace}"], capture_output=True, text=True
    )
    said = outcome.stdout + outcome.stderr
    assert outcome.returncode == 0, said
    assert time.monotonic() - began < HELMS_PATIENCE
    return said


def left(site: Site, release: str) -> list[str]:
    """The objects of a release that are still there."""
    selector = f"--selector=app.kubernetes.io/instance={release}"
    return site.kubectl("get", KINDS, "-A", selector, "-o", "name", "--ignore-not-found").split()


def pools(site: Site, namespace: str) -> list[str]:
    return site.kubectl("-n", namespace, "get", CRD, "-o", "name").split()


def wait_for_crd(site: Site) -> None:
    site.kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/{CRD}")


def jobs(site: Site, *uids: str) -> list[int]:
    """The jobs of these pools."""
    return [job["ClusterId"] for job in queue(site) if job[names.AD_POOL_UID] in uids]


def has_jobs(site: Site, uid: str, count: int) -> None:
    eventually(lambda: jobs(site, uid), 90, f"an anchor and {count} workers", lambda n: len(n) == count + 1)


def test_the_sites_own_release_with_live_pools(site: Site, back: None) -> None:
    """A worker that runs, and idle ones: their jobs end before the operator does. The CRD stays."""
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())["uninstall"]
    assert "uninstall" not in yaml.safe_load(Path(VALUES).read_text()), "with default values"
    assert defaults["deletePools"]
    [computing] = clusters.new(site)
    running = clusters.add_pool(site, computing, SMALL)
    clusters.scale(site, computing, 1)
    idle = clusters.by_hand(site, 2)
    has_jobs(site, idle.pool, 2)
    eventually(
        lambda: [job["JobStatus"] for job in queue(site) if job[names.AD_POOL_UID] == running],
        90,
        "a worker runs",
        lambda states: sorted(states) == [2, 5],
    )
    said = uninstall(site, "htcdask", "htcdask")
    assert jobs(site, running, idle.pool) == []
    assert "pools left" in said
    assert "0 released" in said
    assert "condor_rm" not in said
    assert pools(site, "gateway") == []
    eventually(lambda: left(site, "htcdask"), 60, "nothing is left", lambda found: not found)
    assert CRD in site.kubectl("get", "crd", "-o", "name")
    clusters.stop(site, computing)
    clusters.delete(site, idle.name)


def test_while_htcondor_is_down_and_beside_another_release(site: Site) -> None:
    """What could not end is named, by a command that ends it and nothing else once HTCondor is back."""
    others = clusters.by_hand(site, 2)
    has_jobs(site, others.pool, 2)
    with second_release(site, "--set=uninstall.seconds=10") as (release, namespace):
        mine = clusters.by_hand(site, 2, namespace)
        has_jobs(site, mine.pool, 2)
        with faults.condor_down(site):
            said = uninstall(site, release, release)
            assert pools(site, namespace) == []
            eventually(lambda: left(site, release), 60, "nothing is left", lambda found: not found)
        [command] = [line.strip() for line in said.splitlines() if "condor_rm" in line]
        assert "on the access point ap@condor" in said
        assert len(jobs(site, mine.pool)) == 3
        site.condor("sh", "-c", command)
        eventually(lambda: jobs(site, mine.pool), 30, "its jobs have ended", lambda found: not found)
    assert len(jobs(site, others.pool)) == 3
    assert CRD in site.kubectl("get", "crd", "-o", "name")
    clusters.delete(site, others.name)


def test_a_release_that_never_started(site: Site) -> None:
    """Its settings are wrong, its pools were never looked at, and its settings file is gone."""
    wrong = "--set=settings.imagePathTemplate=nonsense"
    with second_release(site, wrong, starts=False) as (release, namespace):
        clusters.by_hand(site, 2, namespace)
        site.kubectl(
            "-n", release, "delete", "configmap", release, f"{release}-htcdask", "--ignore-not-found"
        )
        said = uninstall(site, release, release)
        assert "1 pools ended, 0 released" in said
        assert pools(site, namespace) == []
        eventually(lambda: left(site, release), 60, "nothing is left", lambda found: not found)


def test_without_its_crd(site: Site, back: None) -> None:
    """Somebody has deleted the definition, and all pools with it, before the release."""
    idle = clusters.by_hand(site, 2)
    has_jobs(site, idle.pool, 2)
    site.kubectl("delete", "crd", CRD, "--timeout=60s")
    eventually(lambda: jobs(site, idle.pool), 30, "the operator ended its jobs", lambda found: not found)
    said = uninstall(site, "htcdask", "htcdask")
    assert "there are no HTCWorkerPools in this cluster" in said
    assert "condor_q -allusers" in said
    eventually(lambda: left(site, "htcdask"), 60, "nothing is left", lambda found: not found)
    clusters.delete(site, idle.name)


def test_with_a_crd_that_shall_not_be_kept(site: Site, back: None) -> None:
    """`crds.keep=false`: it goes with the release that has it, also while an operator that has just started
    makes pools for clusters that have none."""
    for _ in range(3):
        name = uuid.uuid4().hex
        clusters.make(site, name)
        clusters.want(site, name, 2)
    with site.changed_chart("crds.keep=false"):
        wait.deployments(site.node, "--namespace=htcdask")
        uninstall(site, "htcdask", "htcdask")
        eventually(
            lambda: site.kubectl("get", "crd", "-o", "name"), 60, "it went", lambda found: CRD not in found
        )
