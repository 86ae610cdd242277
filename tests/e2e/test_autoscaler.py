"""A HorizontalPodAutoscaler on a site: it needs what docs/operations.md says, and then scales a pool."""

import json
from pathlib import Path

from htcdask_api import manifest, names
from playground.site.site import Site
from tests.e2e import clusters
from tests.e2e.look import clean, eventually

PAGE = (Path(__file__).parents[2] / "docs/operations.md").read_text()
NAME = "by-autoscaler"


def grant() -> str:
    """The manifest as the page prints it."""
    [text] = [block for block in PAGE.split("```yaml\n") if "name: pool-autoscaler" in block]
    return text.partition("```")[0]


def test_an_autoscaler_scales_a_pool_once_it_may_use_the_clusters(site: Site) -> None:
    cluster = clusters.by_hand(site, 0)
    pool = manifest.pool(
        "gateway", NAME, cluster.name, scaling="Manual", replicas=1, template={**clusters.IDLE}
    )
    site.kubectl("create", "-f", "-", input=json.dumps(pool))
    # Fewer than the least that it may have: that needs no metric.
    site.kubectl("-n", "gateway", "autoscale", f"{names.PLURAL}/{NAME}", "--min=2", "--max=3")
    try:
        eventually(
            lambda: said(site, "FailedRescale"), 60, "it is refused", lambda text: 'the verb "use"' in text
        )
        assert replicas(site) == "1"
        site.kubectl("apply", "-f", "-", input=grant())
        eventually(lambda: replicas(site), 60, "it scales", lambda count: count == "2")
    finally:
        site.kubectl("delete", "-f", "-", "--ignore-not-found", input=grant())
        site.kubectl("-n", "gateway", "delete", "hpa", NAME)
        clusters.delete(site, cluster.name)
    clean(site, cluster.name)


def replicas(site: Site) -> str:
    return site.kubectl("-n", "gateway", "get", names.PLURAL, NAME, "-o", "jsonpath={.spec.replicas}")


def said(site: Site, reason: str) -> str:
    """Its Events of this reason."""
    options = (f"--field-selector=reason={reason},involvedObject.name={NAME}", "-o", "jsonpath={..message}")
    return site.kubectl("-n", "gateway", "get", "events", *options)
