"""Options and handlers as public sites have them for Kubernetes workers, and what our workers make of them.

Each handler of `site_config.PUBLIC_SITES` with an untouched options object, with a changed one, and with
keywords. `sent` is what the gateway was told, `template` what the workers are.
"""

import warnings
from typing import Any

import dask
import pytest

from htcdask_api import Template
from htcdaskgateway import GatewayWarning
from tests.builders import make_policy
from tests.client.gateway_site import IMAGE, Site

Case = tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]
CASES: dict[str, Case] = {
    # The site, what is changed in its options, the keywords, the options that are sent, the template.
    "fractions, untouched": (
        "fractions",
        {},
        {},
        {"worker_cores": 1, "worker_memory": 4, "image": "site/science:2"},
        {"cores": 1, "memory": "4096Mi"},
    ),
    "fractions, changed": (
        "fractions",
        {"worker_cores": 1.5, "worker_memory": 2.5, "image": "site/science:1"},
        {},
        {"worker_cores": 1.5, "worker_memory": 2.5, "image": "site/science:1"},
        {"cores": 2, "memory": "2560Mi"},
    ),
    "fractions, keywords": (
        "fractions",
        {},
        {"worker_cores": 0.8, "worker_memory": "8 G", "container_image": IMAGE},
        {"worker_cores": 0.8, "worker_memory": 7630 / 1024},
        {"cores": 1, "memory": "7630Mi", "containerImage": IMAGE},
    ),
    "fractions, a whole number as a text": (
        "fractions",
        {},
        {"worker_cores": "2", "worker_memory": "3Gi"},
        {"worker_cores": 2, "worker_memory": 3},
        {"cores": 2, "memory": "3Gi"},
    ),
    "variables, untouched": (
        "variables",
        {},
        {},
        {"environment": {"OMP_NUM_THREADS": "1"}},
        {"environment": {"SCRATCH": "/scratch/variables", "OMP_NUM_THREADS": "1"}},
    ),
    "variables, changed": (
        "variables",
        {"environment": {"A": "1"}, "image": "org/mine:1"},
        {},
        {"environment": {"A": "1"}, "image": "org/mine:1"},
        {"environment": {"SCRATCH": "/scratch/variables", "A": "1"}},
    ),
    "variables, keywords": (
        "variables",
        {},
        {"environment": {"A": 1, "B": True, "SCRATCH": "/tmp"}, "image": "org/mine:1"},
        {"environment": {"A": "1", "B": "True", "SCRATCH": "/tmp"}, "image": "org/mine:1"},
        {"environment": {"A": "1", "B": "True", "SCRATCH": "/tmp"}},
    ),
    "stacks, untouched": (
        "stacks",
        {},
        {},
        {"environment": "Base", "profile": "Small (1 core)"},
        {},
    ),
    "stacks, changed": (
        "stacks",
        {"environment": "Deep learning", "profile": "Medium (2 cores)"},
        {},
        {"environment": "Deep learning", "profile": "Medium (2 cores)"},
        {"threads": 4},
    ),
    "stacks, keywords": (
        "stacks",
        {},
        {"environment": "Deep learning", "profile": "Medium (2 cores)", "worker_cores": 4},
        {"environment": "Deep learning", "profile": "Medium (2 cores)"},
        {"cores": 4, "threads": 4},
    ),
    "stacks, our environment": (
        "stacks",
        {},
        {"environment": {"A": "1"}, "worker_threads": 1},
        {"environment": "Base", "profile": "Small (1 core)"},
        {"environment": {"A": "1"}, "threads": 1},
    ),
    "pods, untouched": ("pods", {}, {}, {"worker_cores": "1", "gpu": False}, {"cores": 1}),
    "pods, changed": ("pods", {"worker_cores": "0.5"}, {}, {"worker_cores": "0.5"}, {"cores": 1}),
    "pods, keywords": ("pods", {}, {"worker_cores": 2}, {"worker_cores": "2"}, {"cores": 2}),
    "pods, a choice": ("pods", {}, {"worker_cores": "0.5"}, {"worker_cores": "0.5"}, {"cores": 1}),
    "pods, the site's own word": (
        "pods",
        {},
        {"worker_memory": "large"},
        {"worker_memory": "large"},
        {"cores": 1},
    ),
    "groups, untouched": ("groups", {}, {}, {"worker_cores": 1}, {"cores": 1}),
    "groups, changed": ("groups-staff", {"worker_cores": 8}, {}, {"worker_cores": 8}, {"cores": 8}),
    "groups, keywords": ("groups-staff", {}, {"worker_cores": "6"}, {"worker_cores": 6}, {"cores": 6}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_public_sites_options_mean_for_our_workers_what_they_mean_there(site: Site, case: str) -> None:
    user, changed, keywords, sent, template = CASES[case]
    with site.gateway(user) as gateway, warnings.catch_warnings():
        warnings.simplefilter("error", GatewayWarning)
        options = gateway.cluster_options()
        options.update(changed)
        name = gateway.submit(options, **keywords)
        told = gateway.get_cluster(name).options
        assert {option: told[option] for option in sent} == sent
        assert [pool["spec"]["template"] for pool in site.pools_of(name)] == [template]
        gateway.stop_cluster(name)


@pytest.mark.parametrize(
    ("user", "keywords", "said"),
    [
        ("fractions", {"worker_cores": 0.1}, "worker_cores must be >= 0.5"),
        ("fractions", {"worker_cores": 8}, "worker_cores must be <= 4"),
        ("fractions", {"image": "org/mine:1"}, "image"),
        ("fractions", {"environment": {"A B": "1"}}, "environment: names must be letters, digits"),
        ("stacks", {"environment": "Astronomy"}, "environment"),
        ("stacks", {"profile": "Huge"}, "profile"),
        ("pods", {"worker_cores": 1.5}, "worker_cores: must be a whole number; got 1.5"),
        ("groups", {"worker_cores": 4}, "worker_cores must be <= 2"),
        ("groups", {"worker_cores": 1.5}, "worker_cores: must be a whole number; got 1.5"),
    ],
)
def test_what_a_public_site_does_not_give_is_said_and_nothing_is_made(
    site: Site, user: str, keywords: dict[str, Any], said: str
) -> None:
    with site.gateway(user) as gateway:
        with pytest.raises(ValueError, match=said.replace("(", r"\(")):
            gateway.submit(**keywords)
        assert gateway.list_clusters() == []


HUB: dict[str, Any] = {"image": "{HUB_IMAGE}", "environment": {"PROJECT": "tau", "OMP_NUM_THREADS": "2"}}


@pytest.mark.parametrize("how", ["submit", "options", "profile"])
def test_what_a_hub_configures_of_cluster_options_reaches_the_workers(
    site: Site, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_IMAGE", "hub/science:3")
    with dask.config.set({"gateway.cluster.options": HUB}), site.gateway("variables") as gateway:
        keywords = {"profile": "large"} if how == "profile" else {}
        name = gateway.submit(gateway.cluster_options() if how == "options" else None, **keywords)
        told = gateway.get_cluster(name).options
        assert (told["image"], told["environment"]) == ("hub/science:3", HUB["environment"])
        assert [pool["spec"]["template"] for pool in site.pools_of(name)] == [
            {"environment": {"SCRATCH": "/scratch/variables", **HUB["environment"]}, **keywords}
        ]
        gateway.stop_cluster(name)


def test_an_image_of_the_hub_that_workers_do_not_get_is_said(site: Site) -> None:
    policy = make_policy(default_template=Template(container_image=IMAGE))
    hub = {"gateway.cluster.options": {"image": "hub/science:3"}}
    with dask.config.set(hub), site.gateway("variables") as gateway, site.offering(policy):
        with pytest.warns(
            GatewayWarning, match="image='hub/science:3' is the scheduler's alone: .* " + IMAGE
        ):
            gateway.stop_cluster(gateway.submit())
        with warnings.catch_warnings():
            warnings.simplefilter("error", GatewayWarning)
            gateway.stop_cluster(gateway.submit(container_image=IMAGE))
            gateway.stop_cluster(gateway.submit(image="site/science:2"))
            with site.offering(make_policy(image_path_template="/cvmfs/{registry}/{name}")):
                gateway.stop_cluster(gateway.submit())


def test_what_an_option_changes_of_pods_alone_is_said(site: Site) -> None:
    with site.gateway("pods") as gateway:
        with pytest.warns(GatewayWarning, match=r"cannot have \(worker_extra_pod_config\): ask your site"):
            name = gateway.submit(gpu=True)
        assert gateway.get_cluster(name).options["gpu"] is True
        gateway.stop_cluster(name)
