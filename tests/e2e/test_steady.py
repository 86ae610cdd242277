"""What Manual pools and their neighbours did while other tests ran: nothing. This file comes last."""

import time

from playground.site.site import Site
from tests.e2e import clusters, steady
from tests.e2e.steady import Steady


def test_pools_at_rest_stay_at_rest_for_five_minutes(site: Site, steady_pools: Steady) -> None:
    """No job came and none went, although the operator may have been killed again and again meanwhile."""
    time.sleep(max(0.0, steady_pools.since + 300 - time.monotonic()))
    assert steady.jobs(site, *steady_pools.clusters) == steady_pools.jobs
    # A job that came and went in between would be in the history.
    assert steady.gone(site, *steady_pools.numbers) == steady_pools.gone
    steady.have(site, steady_pools.numbers)
    clusters.stop(site, *steady_pools.clusters)
