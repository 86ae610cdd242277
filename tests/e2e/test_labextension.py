"""JupyterLab's Dask panel, as its user has it: a notebook's dashboard is found, and buttons make clusters."""

import re

from selenium.webdriver import Keys

from playground.site.site import Site
from tests.e2e.browser import Lab, jupyterlab
from tests.e2e.look import clean, settled

MAKE, SCALE, PI, SHUT_DOWN = 1, 5, 7, 11
"""The cells of first_cluster.ipynb; the second makes the client, whose dashboard is looked for."""


def open_panel(lab: Lab) -> None:
    lab.one(".lm-TabBar-tab[data-id=dask-dashboard-launcher]").click()
    lab.one(".dask-DaskClusterManager")


def cluster_of(text: str) -> str:
    found = re.search(r"gateway\.\w{32}", text)
    assert found is not None, text
    return found[0]


def test_it_finds_the_dashboard_of_a_notebook_and_shows_its_graphs(site: Site) -> None:
    with jupyterlab(site.jupyter_url, "first_cluster.ipynb") as lab:
        lab.run(MAKE)
        lab.run(SCALE)
        lab.run(PI)
        open_panel(lab)
        lab.one(".dask-URLInput jp-button").click()
        lab.one(".dask-DashboardListing-item button:not([disabled])", "TASK STREAM").click()
        graph = lab.one("iframe")
        address = graph.get_attribute("src") or ""
        lab.browser.switch_to.frame(graph)
        lab.one(".bk-Figure", within=30)
        lab.browser.switch_to.default_content()
        lab.one("#jp-main-dock-panel .lm-TabBar-tab", "first_cluster.ipynb").click()
        lab.run(SHUT_DOWN)
    clean(site, cluster_of(address))


def test_its_buttons_make_scale_and_end_a_cluster(site: Site) -> None:
    def type_numbers(*numbers: int) -> None:
        fields = [field for field in lab.all("input.dask-ScalingInput") if field.is_enabled()]
        for field, number in zip(fields, numbers, strict=True):
            field.send_keys(Keys.CONTROL, "a")
            field.send_keys(str(number))
        lab.one(".jp-Dialog button.jp-mod-accept").click()

    with jupyterlab(site.jupyter_url, "first_cluster.ipynb") as lab:
        open_panel(lab)
        lab.one(".dask-DaskClusterManager jp-button", "NEW").click()
        cluster = cluster_of(lab.one(".dask-ClusterListingItem", "HTCGatewayCluster", within=90).text)
        lab.one("button.dask-ClusterListingItem-scale").click()
        lab.one("input.dask-ScalingCheckbox").click()
        type_numbers(1, 2)
        adapts = lab.one(".dask-ClusterListingItem", "Number of Workers: 1", within=90).text
        assert "Minimum Workers: 1\nMaximum Workers: 2" in adapts
        settled(site, cluster, 1)
        lab.one("button.dask-ClusterListingItem-scale").click()
        lab.one("input.dask-ScalingCheckbox").click()
        type_numbers(2)
        assert "Minimum" not in lab.one(".dask-ClusterListingItem", "Number of Workers: 2", within=90).text
        settled(site, cluster, 2)
        lab.one("button.dask-ClusterListingItem-stop").click()
        lab.eventually(lambda: not lab.all(".dask-ClusterListingItem"), 60, "the cluster is not listed")
    clean(site, cluster)
