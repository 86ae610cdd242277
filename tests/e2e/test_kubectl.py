"""What an admin reads with kubectl."""

import pytest

from htcdask_api import names
from playground.build.errors import PlaygroundError
from playground.site.site import Site
from tests.e2e.look import pool, settled
from tests.e2e.notebook import Notebook


def test_get_describe_wait_and_explain_read_well(site: Site, notebook: Notebook) -> None:
    """The columns, the conditions, the Events and the field docs of a pool with two workers."""
    cluster = notebook.new_cluster()
    name = pool(site, cluster)["metadata"]["name"]
    site.kubectl("-n", "gateway", "wait", "--for=condition=Ready", f"{names.PLURAL}/{name}", "--timeout=60s")
    notebook.scale(cluster, 2)
    settled(site, cluster, 2)
    site.kubectl("-n", "gateway", "wait", "--for=condition=Ready", f"{names.PLURAL}/{name}", "--timeout=30s")

    head, row = site.kubectl("-n", "gateway", "get", "htcwp", name).splitlines()
    assert head.split() == [
        "NAME", "CLUSTER", "USER", "DESIRED", "CONNECTED", "RUNNING", "IDLE", "HELD", "READY", "REASON",
        "AGE",
    ]  # fmt: skip
    assert row.split()[2:9] == ["alice", "2", "2", "2", "0", "0", "True"]
    assert name in site.kubectl("-n", "gateway", "get", "dask", "-o", "name")

    described = site.kubectl("-n", "gateway", "describe", names.PLURAL, name)
    for word in ("ClusterActive", "CondorReachable", "Events:", "Container Image"):
        assert word in described
    assert "Normal" in described.partition("Events:")[2]

    explained = site.kubectl("explain", f"{names.PLURAL}.spec.template.memory")
    assert "DESCRIPTION" in explained
    assert "<empty>" not in explained

    with pytest.raises(PlaygroundError) as refused:
        site.kubectl("-n", "gateway", "scale", names.PLURAL, name, "--replicas=3")
    assert "cluster.scale(n)" in str(refused.value)
    notebook.shutdown(cluster)


def test_no_secret_is_readable(site: Site, notebook: Notebook) -> None:
    """Job ads, pools, Events and the operator's log hold neither the cluster's key nor the token."""
    cluster = notebook.new_cluster()
    notebook.scale(cluster, 1)
    settled(site, cluster, 1)
    secret = site.kubectl(
        "-n", "gateway", "get", "secrets", "-l", f"gateway.dask.org/cluster={cluster.rpartition('.')[2]}",
        "-o", "jsonpath={.items[0].data.dask\\.pem}",
    )  # fmt: skip
    token = site.condor_token
    places = {
        "job ads": site.condor("condor_q", "-allusers", "-long"),
        "history": site.condor("condor_history", "-long", "-limit", "50"),
        "pools": site.kubectl("-n", "gateway", "get", names.PLURAL, "-o", "yaml"),
        "what workers printed": site.kubectl("-n", "gateway", "get", names.LOG_PLURAL, "-o", "yaml"),
        "events": site.kubectl("-n", "gateway", "get", "events", "-o", "yaml"),
        "operator log": site.kubectl("-n", "htcdask", "logs", "deploy/htcdask", "--tail=-1"),
    }
    assert len(secret) > 100
    assert len(token) > 50
    for place, text in places.items():
        assert "PRIVATE KEY" not in text, place
        assert token not in text, place
        assert secret[:60] not in text, place
    notebook.shutdown(cluster)
