"""The groups of whoever makes a cluster, in the DaskCluster: a site's profile may be for some groups alone.

Used by `htcdask_gateway` and `htcdask_offer`, and pasted beside them into the API server's configuration. The
gateway alone knows its users' groups (JupyterHub's, or those of the site's authenticator), and only while it
answers them. So the operator reads those of the moment at which the cluster was made.
"""

from contextvars import ContextVar
from typing import Any

from traitlets.config import LoggingConfigurable

from htcdask_options import HTCONDOR, WORKER_BACKEND_OPTION

# htcdask_api.names has these too, but is not installed where this runs; a test compares them.
GROUPS_FIELD = "htcondorGroups"
MOST_GROUPS, LONGEST_GROUP = 256, 256  # of one user; characters
MAKER: ContextVar[Any] = ContextVar("htcdask_maker", default=None)  # the user whose cluster is being made


def groups_of(user: Any) -> tuple[list[str], int]:
    """Those of the user's groups that are written and looked at, sorted; and how many are left out."""
    every = getattr(user, "groups", None) or ()  # a site's authenticator may have users of its own
    texts = (group for group in every if isinstance(group, str) and 0 < len(group) <= LONGEST_GROUP)
    fit = [group for group in texts if group.encode(errors="ignore").decode() == group]  # as it is stored
    groups = sorted(fit)[:MOST_GROUPS]
    return groups, len(every) - len(groups)


class WithGroups(LoggingConfigurable):  # type: ignore[misc]
    """Before the site's backend class, which makes the cluster."""

    async def start_cluster(self, user: Any, cluster_options: Any) -> Any:
        token = MAKER.set(user)
        try:
            return await super().start_cluster(user, cluster_options)
        finally:
            MAKER.reset(token)  # the next request of this connection may be another user's

    def make_cluster_object(self, username: str, options: Any, config: Any) -> Any:
        cluster, user = super().make_cluster_object(username, options, config), MAKER.get()
        # A site's class may make it for somebody else: whose groups those are, nobody says.
        if user is None or user.name != username or options.get(WORKER_BACKEND_OPTION) != HTCONDOR:
            return cluster
        groups, left = groups_of(user)
        if left:
            text = (
                "A cluster of user %s has %d of their groups, without %d others: at most %d, of %d characters"
            )
            self.log.warning(text, username, len(groups), left, MOST_GROUPS, LONGEST_GROUP)
        if groups:
            cluster["spec"][GROUPS_FIELD] = groups
        return cluster
