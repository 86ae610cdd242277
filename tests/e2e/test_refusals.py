"""Bad input gets a clear error that names the field and the rule, and leaves nothing behind."""

import json

import pytest

from htcdask_api import names
from playground.build.errors import PlaygroundError
from playground.site.site import Site
from tests.e2e import clusters
from tests.e2e import manifest as manifests
from tests.e2e.clusters import SMALL
from tests.e2e.look import bare, clean, condition, eventually, pool, queue, settled
from tests.e2e.notebook import IMAGE, KUBERNETES_API, Door, Notebook

COMMAND = r"requirements = TARGET.'Cpus\ninclude command : touch /tmp/command-was-run\ny = ' > 0"
TRY = """
import asyncio
before = {c.name for c in gateway.list_clusters()}
try:
    cluster = gateway.new_cluster(**keywords)
    cluster.shutdown()
    said = "accepted"
except Exception as error:
    said = f"{type(error).__name__}: {error}"
result = [said, [c.name for c in gateway.list_clusters() if c.name not in before]]
"""


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"container_image": ""}, "container_image"),
        ({"container_image": "images/worker.sif"}, "container_image"),
        ({"container_image": IMAGE, "worker_cores": 0}, "worker_cores"),
        ({"container_image": IMAGE, "worker_memory": -1}, "worker_memory"),
        ({"container_image": IMAGE, "colour": "red"}, "colour"),
        ({"container_image": "/proc/self/root"}, "must not be in /proc"),
        ({"container_image": IMAGE, "node_match_expr": COMMAND}, "quoted name"),
        ({"container_image": IMAGE, "node_match_expr": "rank = Cpus >"}, "got 'Cpus >'"),
        ({"container_image": IMAGE, "profile": "GPU"}, "profile: this site has no profile 'GPU'"),
        ({"container_image": "/var/lib/condor/execute"}, "Nothing was made"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else value,
)
def test_new_cluster_names_the_field(
    site: Site, door: Door, keywords: dict[str, object], sentence: str
) -> None:
    """The sentence names the keyword, and no cluster is left behind."""
    said, left = Notebook(site, door).run(TRY, keywords=keywords)
    assert sentence in said
    assert said != "accepted"
    assert left == []


def test_a_notebook_is_told_what_the_site_offers(site: Site, notebook: Notebook) -> None:
    """By the operator that is at work: its words are not an earlier one's."""
    offered = eventually(
        lambda: notebook.run("result = gateway.profiles().to_dict()"),
        60,
        "the operator's word",
        lambda told: told["situation"] is None,
    )
    assert offered["profiles"] == []
    assert offered["template"]["containerImage"] == IMAGE
    assert offered["template"]["memory"] == "1Gi"
    assert offered["images"] == {"trees": ["/cvmfs"], "allowed": [], "fromGateway": True}
    assert offered["limits"] == {"maxReplicasPerPool": 1000}


def test_a_wrong_password(site: Site, notebook: Notebook) -> None:
    """It says that the password is the trouble."""
    said = notebook.run(
        """
        try:
            connect_gateway(password="wrong").list_clusters()
            result = "accepted"
        except Exception as error:
            result = f"{type(error).__name__}: {error}"
        """
    )
    assert "password" in said.lower() or "auth" in said.lower(), said


def test_scale_below_zero(site: Site, notebook: Notebook) -> None:
    """scale(-1) is refused and changes nothing."""
    cluster = notebook.new_cluster()
    said = notebook.run(
        """
        try:
            gateway.connect(cluster).scale(-1)
            result = "accepted"
        except ValueError as error:
            result = str(error)
        """,
        cluster=cluster,
    )
    assert "-1" in said
    notebook.shutdown(cluster)


def test_somebody_elses_cluster_by_every_route(site: Site, notebook: Notebook) -> None:
    """Bob can neither see, connect to, stop nor read or write the pools of Alice's cluster."""
    cluster = notebook.new_cluster()
    answers = Notebook(site, user="bob").run(
        """
        import asyncio
        from yarl import URL
        def attempt(call):
            try:
                call()
                return "accepted"
            except Exception as error:
                return f"{type(error).__name__}: {error}"

        async def ask(method, path, body=None):
            async with HTCGateway(address=gateway.address, auth=gateway.auth, asynchronous=True) as g:
                return await g._request(method, f"{g.address}/api/v1/clusters/{cluster}{path}", json=body)

        pools = "/htcondor/pools"
        result = {
            "listed": cluster in [c.name for c in gateway.list_clusters()],
            "connect": attempt(lambda: gateway.connect(cluster)),
            "stop": attempt(lambda: gateway.stop_cluster(cluster)),
            "list": attempt(lambda: asyncio.run(ask("GET", pools))),
            "create": attempt(lambda: asyncio.run(ask("POST", pools, {"name": "x", "spec": {}}))),
            "read": attempt(lambda: asyncio.run(ask("GET", pools + "/default"))),
            "delete": attempt(lambda: asyncio.run(ask("DELETE", pools + "/default"))),
        }
        """,
        cluster=cluster,
    )
    assert answers.pop("listed") is False
    assert all(answer != "accepted" for answer in answers.values()), answers
    assert pool(site, cluster)["metadata"].get("deletionTimestamp") is None
    notebook.shutdown(cluster)


def test_a_forged_heartbeat_changes_nothing_and_is_logged_once(site: Site) -> None:
    """The scheduler runs its user's code, so the user can send anything, with the cluster's own token."""
    [cluster] = clusters.new(site)
    clusters.add_pool(site, cluster, SMALL)
    clusters.scale(site, cluster, 1)
    settled(site, cluster, 1)
    before = [job["ClusterId"] for job in queue(site, cluster)]
    answers = Notebook(site).run(
        """
        async def forge(count, dask_scheduler):
            plugins = dask_scheduler.plugins.values()
            [service] = [p.service for p in plugins if type(p).__name__ == "GatewayPlugin"]
            lists = ("active_workers", "closing_workers", "closed_workers")
            try:
                await service.gateway.heartbeat({"count": count, **{name: [] for name in lists}})
            except Exception as error:
                return f"{type(error).__name__}: {error}"

        client = gateway.connect(cluster).get_client()
        result = [client.run_on_scheduler(forge, count) for count in (-3, "x", 1.5, 10**12)]
        """,
        cluster=cluster,
    )
    assert answers == [None] * 4, "each reached the gateway"
    assert clusters.get(site, cluster)["spec"][names.WANTED_FIELD] == 1
    settled(site, cluster, 1)
    assert [job["ClusterId"] for job in queue(site, cluster)] == before
    log = site.kubectl("-n", "gateway", "logs", "deploy/api-dask-gateway", "--tail=-1")
    assert sum(cluster in line and "ignored" in line for line in log.splitlines()) == 1
    clusters.stop(site, cluster)


def by_hand(cluster: str) -> str:
    """The name of a pool that somebody writes by hand."""
    return f"by-hand-{cluster}"[:60]


def manifest(cluster: str, **template: object) -> str:
    """Such a pool for kubectl apply."""
    return manifests.pool(by_hand(cluster), cluster, **template)


@pytest.mark.parametrize(
    ("template", "field", "rule"),
    [
        ({"memory": "8GB"}, "memory", "quantity"),
        ({"cores": 0}, "cores", "greater than or equal to 1"),
        ({"containerImage": ""}, "containerImage", ""),
        ({"containerImage": "images/worker.sif"}, "containerImage", "absolute"),
        ({"containerImage": "/proc/self/root"}, "containerImage", "must not be in /proc"),
        ({"requirements": COMMAND.partition("= ")[2]}, "requirements", "this is not: TARGET.'Cpus"),
        ({"rank": "member(Machine, {1}"}, "rank", "must close each bracket"),
    ],
    ids=["memory 8GB", "cores 0", "empty image", "relative image", "/proc", "a command", "open bracket"],
)
def test_kubectl_names_field_and_rule(site: Site, template: dict[str, object], field: str, rule: str) -> None:
    """What the API server says to `kubectl apply`."""
    with pytest.raises(PlaygroundError) as refused:
        site.kubectl("apply", "-f", "-", input=manifest("nobody", **template))
    said = str(refused.value)
    assert field in said
    assert rule in said


def test_a_pool_for_a_cluster_that_does_not_exist_waits_and_says_so(site: Site) -> None:
    """ClusterNotFound; no job; and it is gone at once when deleted."""
    site.kubectl("apply", "-f", "-", input=manifest("nosuchcluster"))
    name = by_hand("nosuchcluster")

    def ready() -> dict[str, str]:
        text = site.kubectl("-n", "gateway", "get", names.PLURAL, name, "-o", "json")
        conditions = json.loads(text).get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == "Ready"), {})

    said = eventually(ready, 20, "a Ready condition")
    assert said["status"] == "False"
    assert said["reason"] == "ClusterNotFound"
    assert "nosuchcluster" in said["message"]
    assert queue(site, "nosuchcluster") == []
    site.kubectl("-n", "gateway", "delete", names.PLURAL, name, "--timeout=20s")


def test_an_image_that_would_be_a_window_into_the_execute_node_is_refused_by_name(site: Site) -> None:
    """The pool says which folders the site allows, and nothing is submitted."""
    cluster = clusters.new(site)[0]
    clusters.add_pool(site, cluster, {"containerImage": "/var/lib/condor/execute"})
    clusters.scale(site, cluster, 1)
    said = eventually(
        lambda: condition(site, cluster, "Stalled"), 30, "it is refused", lambda c: c.get("status") == "True"
    )
    assert said["reason"] == "ImageNotAllowed"
    assert "/var/lib/condor/execute" in said["message"] and "below /cvmfs" in said["message"]
    assert queue(site, cluster) == []
    clusters.stop(site, cluster)


def test_expressions_work_as_in_a_submit_file(site: Site) -> None:
    """Lists, records and regular expressions; and nothing that anybody wrote was run by the operator."""
    cluster = clusters.new(site)[0]
    wish = '!member(TARGET.Machine, {"a.example"}) && [a = 1].a == 1 && regexp("^[a-z]", TARGET.Machine)'
    clusters.add_pool(site, cluster, {**SMALL, "requirements": wish, "rank": "KFlops"})
    clusters.scale(site, cluster, 1)
    settled(site, cluster, 1)
    clusters.stop(site, cluster)
    files = site.kubectl("-n", "htcdask", "exec", "deployment/htcdask", "--", "ls", "/tmp")
    assert "command-was-run" not in files


def test_somebody_elses_cluster_by_the_kubernetes_api(site: Site, notebook: Notebook) -> None:
    """A service account without `use` on the cluster cannot write a pool for it."""
    cluster = notebook.new_cluster()
    name = by_hand(bare(cluster))
    refused = site.kubectl(
        "apply",
        "-f",
        "-",
        "--as=system:serviceaccount:notebooks:notebook",
        input=manifest(bare(cluster)),
        check=False,
    )
    assert name not in site.kubectl("-n", "gateway", "get", names.PLURAL, "-o", "name")
    assert "created" not in refused
    notebook.shutdown(cluster)
    clean(site, cluster)


def test_a_wrong_site_setting_is_said_on_every_pool(site: Site, notebook: Notebook) -> None:
    """CondorReachable is False with the text that helps; mended, the same pool gets its worker."""
    cluster = notebook.new_cluster()
    settled(site, cluster, 0)
    with site.changed_chart("condor.schedd=nosuch@condor"):
        notebook.scale(cluster, 1)
        assert "nosuch@condor" in unreachable(site, cluster)
        with site.changed_chart("condor.tokenSecret.name=no-such-secret"):
            eventually(lambda: "token" in unreachable(site, cluster), 60, "the missing token is named")
    settled(site, cluster, 1)
    notebook.shutdown(cluster)
    clean(site, cluster)


def unreachable(site: Site, cluster: str) -> str:
    """What the pool says once it cannot reach HTCondor."""
    said = eventually(
        lambda: condition(site, cluster, "CondorReachable"),
        60,
        "CondorReachable is False",
        lambda c: c.get("status") == "False",
    )
    return str(said["message"])


def test_the_kubernetes_door_needs_its_right(site: Site) -> None:
    """The notebook without a Kubernetes right is told what it lacks, and no cluster is left behind."""
    door = Door("no-right", "notebook", KUBERNETES_API.config)
    said, left = Notebook(site, door).run(TRY, keywords={"container_image": IMAGE})
    assert said != "accepted"
    assert "kubernetes" in said.lower()
    assert left == []


def test_a_cluster_whose_schedulers_image_cannot_be_pulled_says_so(site: Site) -> None:
    """In the kubelet's own words, and the operator's rights suffice to read them."""
    options = {
        names.WORKER_BACKEND_OPTION: names.WORKER_BACKEND_HTCONDOR,
        "image": "localhost/nobody:nothing",
    }
    cluster = clusters.ask(site, "POST", "clusters/", {"cluster_options": options})["name"]
    eventually(lambda: clusters.phase(site, cluster) == "Pending", 30, "its scheduler is awaited")
    clusters.add_pool(site, cluster, {"containerImage": IMAGE})
    said = eventually(
        lambda: condition(site, cluster, "Ready").get("message", ""),
        60,
        "what its pod waits for",
        lambda message: "its pod waits" in message,
    )
    assert condition(site, cluster, "Ready")["reason"] == "ClusterPending"
    assert "ErrImage" in said or "ImagePullBackOff" in said
    clusters.stop(site, cluster)
