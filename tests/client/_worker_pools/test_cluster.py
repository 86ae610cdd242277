"""The cluster object shows its pools: what the operator wrote into their status, in words."""

from tests.client.gateway_site import IMAGE, Site


def test_what_the_operator_says_is_told(site: Site) -> None:
    with site.gateway("told") as gateway, gateway.new_cluster(container_image=IMAGE) as cluster:
        failure = {
            "time": "2026-01-01T00:00:00Z",
            "worker": "w-1",
            "reason": "Exited",
            "exitCode": 1,
            "logTail": "boom\n",
        }
        site.tell(cluster.name, desiredReplicas=2, connected=1, idle=1, failed=1, recentFailures=[failure])
        assert cluster.logs() == {"w-1": "boom\n"}
        text = str(cluster.explain())
        assert "pool default: 1 of 2 workers connected (1 idle, 1 failed)" in text
        assert "worker w-1 at 2026-01-01T00:00:00Z: Exited (exit code 1)" in text
        assert "1 of 2 workers connected, 1 idle" in repr(cluster)
        assert "1 of 2 workers connected, 1 idle" in cluster._repr_html_()
