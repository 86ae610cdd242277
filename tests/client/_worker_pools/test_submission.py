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


@pytest.mark.parametrize(
    ("user", "keywords", "kind", "said"),
    [
        ("err", {"container_image": ""}, ValueError, "container_image: must be an absolute path"),
        ("err", {"container_image": "worker.sif"}, ValueError, "container_image: must be an absolute path"),
        ("err", {"worker_cores": 0}, ValueError, "worker_cores: "),
        ("err", {"worker_memory": "8GB"}, ValueError, "worker_memory: must be a Kubernetes quantity"),
        ("err", {"colour": "red"}, ValueError, "does not offer the cluster option 'colour'"),
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
