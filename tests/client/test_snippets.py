"""The lines of users' notebooks run as printed, against a real gateway server.

Only address, proxy port, user and password differ. The end-to-end tests run the same files on a whole site.
"""

import json
from pathlib import Path
from typing import Any

import dask
import pytest

from htcdaskgateway import HTCGatewayCluster
from tests.client.gateway_site import PASSWORD, Site

SNIPPETS = Path(__file__).parents[1] / "e2e/snippets"
EXAMPLE = Path(__file__).parents[2] / "examples/adapting.ipynb"


def run(snippet: str, changes: dict[str, str] | None = None, **names: Any) -> dict[str, Any]:
    """Run a snippet with these changes to its text; what it defined."""
    text = (SNIPPETS / snippet).read_text()
    for printed, ours in (changes or {}).items():
        assert text.count(printed) == 1
        text = text.replace(printed, ours)
    exec(compile(text, snippet, "exec"), names)  # noqa: S102
    return names


def test_ncsa_s_lines_run_as_printed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ncsa-user")  # for BasicAuth(username=None)
    ran = run(
        "ncsa.py",
        {
            "https://dask.software-dev.ncsa.illinois.edu": site.address,
            "8786": site.address.rpartition(":")[2],
            "____________": PASSWORD,
        },
    )
    cluster, client = ran["cluster"], ran["client"]
    client.wait_for_workers(4, timeout=30)
    [pool] = cluster.pools
    assert pool.spec.template.container_image == "/u/bengal1/condor/PublicHealth.sif"
    assert ran["gateway"].get_cluster(cluster.name).options == {
        "image": "ncsa/dask-public-health:latest",
        "worker_backend": "htcondor",
    }
    cluster.shutdown()
    ran["gateway"].close()


def test_fermilab_s_lines_run_as_printed(site: Site) -> None:
    """Address and credential come from the site's configuration."""
    settings = {
        "gateway.address": site.address,
        "gateway.auth.kwargs": {"username": "fermilab", "password": PASSWORD},
    }
    with dask.config.set(settings):
        first = run("fermilab.py")
        gateway = first["gateway"]
        assert gateway.list_clusters() == []

        name = gateway.submit()
        second = run("fermilab_list_and_connect.py", gateway=gateway, cluster_name=name)
        assert [report.name for report in second["clusters"]] == [name]
        assert type(second["cluster"]) is HTCGatewayCluster
        assert gateway.list_clusters() == []
        gateway.close()


def test_the_notebook_about_adapting_runs_without_jupyter(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its workers are processes of the gateway's machine here, and there is no operator."""
    settings = {
        "gateway.address": site.address,
        "gateway.auth.kwargs": {"username": "example", "password": PASSWORD},
    }
    cells = [cell for cell in json.loads(EXAMPLE.read_text())["cells"] if cell["cell_type"] == "code"]
    names: dict[str, Any] = {}
    with dask.config.set(settings):
        for cell in cells:
            exec(compile("".join(cell["source"]), EXAMPLE.name, "exec"), names)  # noqa: S102
        with site.gateway("example") as gateway:
            assert gateway.list_clusters() == []
    printed = capsys.readouterr().out
    assert f"sum of squares: {sum(number**2 for number in range(240))}\n" in printed
    assert "pool default: " in printed
    assert "again: 6\n" in printed
