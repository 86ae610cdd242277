"""The groups of who makes a cluster: in the DaskCluster, and in what they are told that they may choose."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from htcdask_api import Template, names
from htcdask_operator.core.policy import Profile
from htcdask_operator.kube.clusters import facts
from tests.builders import make_policy
from tests.gateway.servers import OURS, Site, extra_config, running_api
from tests.gateway.test_offer import ROUTE, operator

# As JupyterHub's authenticator tells them; and a site's own backend, which makes robots' clusters as theirs.
SITE = """
from dask_gateway_server.auth import SimpleAuthenticator
from dask_gateway_server.backends.kubernetes import KubeBackend
from dask_gateway_server.models import User

GROUPS = {
    "ada": ["dune", "atlas"],
    "many": ["x" * 257, 4, "\\ud800x", *(f"group-{number:03}" for number in range(300))],
    "robot": ["dune"],
}

class WithGroups(SimpleAuthenticator):
    async def authenticate(self, request):
        name = (await super().authenticate(request)).name
        return User(name, groups=GROUPS.get(name, ()))

class SiteBackend(KubeBackend):
    async def start_cluster(self, user, cluster_options):
        self.log.info("The site starts a cluster of %s", user.name)
        return await super().start_cluster(User("ada") if user.name == "robot" else user, cluster_options)

c.DaskGateway.authenticator_class = WithGroups
c.DaskGateway.backend_class = SiteBackend
"""


@pytest.fixture(scope="module")
def grouped(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("groups")
    with running_api(folder, "groups", site.kubeconfig, {"site": SITE, **extra_config(OURS)}) as api:
        yield replace(site, api=api)


def test_a_cluster_has_the_groups_of_who_makes_it(grouped: Site) -> None:
    cluster = grouped.dask_cluster(grouped.cluster())
    spec = cluster["spec"]
    assert (spec["username"], spec[names.GROUPS_FIELD]) == ("ada", ["atlas", "dune"])
    assert facts(cluster).groups == {"atlas", "dune"}  # to the operator
    assert "The site starts a cluster of ada" in grouped.api.log.read_text()


def test_one_without_groups_or_with_kubernetes_workers_has_no_such_field(grouped: Site) -> None:
    for cluster in (grouped.cluster("eve"), grouped.cluster(worker_backend="kubernetes")):
        assert names.GROUPS_FIELD not in grouped.dask_cluster(cluster)["spec"]


def test_a_cluster_that_a_site_makes_for_somebody_else_has_nobodys_groups(grouped: Site) -> None:
    spec = grouped.dask_cluster(grouped.cluster("robot"))["spec"]
    assert spec["username"] == "ada"
    assert names.GROUPS_FIELD not in spec


def test_no_option_says_groups(grouped: Site) -> None:
    options = {"worker_backend": "htcondor", names.GROUPS_FIELD: ["admins"]}
    status, told = grouped.api("eve", "POST", "/api/v1/clusters/", {"cluster_options": options})
    assert (status, told["error"]) == (422, f"Unknown fields ['{names.GROUPS_FIELD}']")


def test_of_very_many_groups_the_first_are_written_and_the_log_says_it(grouped: Site) -> None:
    spec = grouped.dask_cluster(grouped.cluster("many"))["spec"]
    assert spec[names.GROUPS_FIELD] == [f"group-{number:03}" for number in range(256)]
    (line,) = [
        line
        for line in grouped.api.log.read_text().splitlines()
        if "user many" in line and "of their" in line
    ]
    assert "has 256 of their groups, without 47 others: at most 256, of 256 characters" in line


def test_who_is_told_that_a_profile_is_theirs(grouped: Site) -> None:
    profiles = {
        "dune": Profile("dune", Template(), groups=("dune",)),
        "both": Profile("both", Template(), users=("eve",), groups=("dune", "cms")),
        "cms": Profile("cms", Template(), groups=("cms",)),
        "all": Profile("all", Template()),
    }
    operator(grouped.plane, policy=make_policy(profiles=profiles))
    try:
        may = {}
        for user in ("ada", "eve"):
            told = grouped.api(user, "GET", ROUTE)[1]["offer"]["profiles"]
            may[user] = {profile["name"] for profile in told if profile["youMay"]}
            assert all("groups" not in profile for profile in told)
    finally:
        grouped.kubectl("delete", f"configmap/{names.OFFER}", f"lease/{names.CLAIM}")
    assert may == {"ada": {"dune", "both", "all"}, "eve": {"both", "all"}}
