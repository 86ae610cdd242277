"""A second gateway object where the first is of a site's own class.

Called by the cluster object: dask-gateway makes plain ones for its clusters, and a closed one is opened anew.
"""

from dask_gateway import Gateway


def take_after(gateway: Gateway, first: Gateway) -> None:
    """Make `gateway` one of the first one's class: its own state goes before, the rest is the first one's.

    That class may want other arguments, and have state of its own, so nobody calls it.
    """
    gateway.__class__ = type(first)
    vars(gateway).update({**vars(first), **vars(gateway)})
