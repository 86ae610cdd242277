"""What `submit` refuses before a cluster is made, and which worker backend it asks for."""

from typing import Any

import pytest

from htcdaskgateway import ExtensionMissingError, PoolRefusedError
from tests.client.gateway_site import IMAGE, Site


def test_a_cluster_with_kubernetes_workers_gets_no_pool(site: Site) -> None:
    with site.gateway("kube") as gateway:
        name = gateway.submit(worker_backend="kubernetes")
        assert gateway.get_cluster(name).options == {"worker_backend": "kubernetes"}
        assert site.pools_of(name) == []
        gateway.stop_cluster(name)
        with pytest.raises(ValueError, match="container_image is for HTCondor workers"):
            gateway.submit(worker_backend="kubernetes", container_image=IMAGE)


def test_kubernetes_workers_have_sizes_of_their_own(site: Site) -> None:
    with site.gateway("words") as gateway:
        name = gateway.submit(worker_backend="kubernetes", worker_cores=1.5, environment="tensorflow")
        options = gateway.get_cluster(name).options
        assert (options["worker_cores"], options["environment"]) == (1.5, "tensorflow")
        assert site.pools_of(name) == []
        gateway.stop_cluster(name)
        with pytest.raises(ValueError, match="environment is for HTCondor workers"):
            gateway.submit(worker_backend="kubernetes", environment={"A": "1"})


@pytest.mark.parametrize(
    ("keywords", "options", "template"),
    [
        # An untouched options object is what a Kubernetes gateway has for its pods.
        ({}, {"worker_cores": 0.8, "worker_memory": "8 G"}, {"cores": 1, "memory": "7630Mi"}),
        ({"worker_memory": "4 G"}, {"worker_memory": "4 G"}, {"cores": 1, "memory": "3815Mi"}),
        ({"worker_memory": 4000000000 / 2**30}, {"worker_memory": "4 G"}, {"cores": 1, "memory": "3815Mi"}),
        ({"worker_cores": 2}, {"worker_cores": 2}, {"cores": 2, "memory": "7630Mi"}),
        ({"environment": "tensorflow"}, {"environment": "tensorflow"}, {"cores": 1, "memory": "7630Mi"}),
        (
            {"environment": {"A": 1}},
            {"environment": "pytorch"},
            {"cores": 1, "memory": "7630Mi", "environment": {"A": "1"}},
        ),
        ({"profile": "Large node"}, {"profile": "Large node"}, {"cores": 1, "memory": "7630Mi"}),
        ({"cpus": "4"}, {"cpus": "4"}, {"cores": 1, "memory": "7630Mi"}),
    ],
)
def test_a_sites_own_options_keep_their_meaning(
    site: Site, keywords: dict[str, Any], options: dict[str, Any], template: dict[str, Any]
) -> None:
    """The site offers `environment` as a name, `profile` and `worker_memory` as choices, `cpus` as a text."""
    with site.gateway("words") as gateway:
        name = gateway.submit(gateway.cluster_options(), **keywords)
        assert [pool["spec"]["template"] for pool in site.pools_of(name)] == [template]
        sent = gateway.get_cluster(name).options
        assert {option: sent[option] for option in options} == options
        gateway.stop_cluster(name)


def test_untouched_options_are_no_word_against_a_profile(site: Site) -> None:
    with site.gateway("sizes") as gateway:
        options = gateway.cluster_options()
        untouched = gateway.submit(options, profile="large")
        options.worker_cores = 2
        touched = gateway.submit(options, profile="large", environment={"A": "1"})
        assert [site.pools_of(name)[0]["spec"]["template"] for name in (untouched, touched)] == [
            {"profile": "large"},
            {"profile": "large", "cores": 2, "environment": {"A": "1"}},
        ]
        for name in (untouched, touched):
            gateway.stop_cluster(name)


def test_ncsas_newest_words_are_the_workers_size(site: Site) -> None:
    with site.gateway("ncsa-newest") as gateway:
        with gateway.new_cluster(None, True, IMAGE, "32GB", 4) as cluster:
            [pool] = site.pools_of(cluster.name)
            assert pool["spec"]["template"] == {"containerImage": IMAGE, "cores": 4, "memory": "32768Mi"}
            assert (cluster.memory, cluster.cpus) == ("32GB", 4)
        assert gateway.list_clusters() == []


@pytest.mark.parametrize(
    ("user", "keywords", "kind", "said"),
    [
        ("err", {"container_image": ""}, ValueError, "container_image: must be an absolute path"),
        ("err", {"container_image": "worker.sif"}, ValueError, "container_image: must be an absolute path"),
        ("err", {"worker_cores": 0}, ValueError, "worker_cores: "),
        ("err", {"worker_memory": "8 cows"}, ValueError, "worker_memory: must be a size from 64Mi"),
        ("err", {"colour": "red"}, ValueError, "does not offer the cluster option 'colour'"),
        ("err", {"worker_core": 2}, ValueError, "Did you mean worker_cores?"),
        ("err", {"gpus": 1}, ValueError, "Did you mean worker_gpus?"),
        ("sizes-err", {"worker_mem": 2}, ValueError, "Did you mean worker_memory?"),
        ("err", {"memroy": "2GB"}, ValueError, "Did you mean memory?"),
        ("err", {"n_workers": 3}, ValueError, "is said afterwards: cluster.scale(3)"),
        ("err", {"workers": 3}, ValueError, "is said afterwards: cluster.scale(3)"),
        ("err", {"worker_type": 3}, ValueError, "Leave worker_type= away"),
        ("err", {"image": "a/b:1"}, ValueError, "does not offer the cluster option 'image'"),
        ("err", {"worker_backend": "slurm"}, ValueError, "worker_backend"),
        ("err", {"cluster_options": {"a": 1}}, TypeError, "cluster_options must be an `Options`"),
        ("err", {"container_image": "/refused/by/the/site.sif"}, PoolRefusedError, "not allowed here"),
        ("sizes-err", {"worker_cores": 5}, ValueError, "worker_cores must be <= 4"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing_behind(
    site: Site, user: str, keywords: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with site.gateway(user) as gateway:
        with pytest.raises(kind) as refused:
            gateway.new_cluster(**keywords)
        assert said in str(refused.value)
        assert gateway.list_clusters() == []


def test_a_gateway_without_the_extension_says_what_to_install(plain_site: Site) -> None:
    with plain_site.gateway() as gateway:
        with pytest.raises(ExtensionMissingError, match=r"gateway-values\.yaml"):
            gateway.new_cluster(container_image=IMAGE)
        assert gateway.list_clusters() == []
