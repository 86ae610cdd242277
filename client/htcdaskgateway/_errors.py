"""The client's own errors. Each is also one of dask-gateway's, so that code written for it keeps working."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

import aiohttp
from dask_gateway import GatewayClusterError

__all__ = [
    "ClusterStartTimeoutError",
    "ExtensionMissingError",
    "HTCDaskError",
    "PoolRefusedError",
    "PoolStalledError",
]


class HTCDaskError(GatewayClusterError):  # type: ignore[misc]
    """Something about HTCondor workers went wrong; the message says what, where and what to do."""


class ExtensionMissingError(HTCDaskError):
    """The gateway does not know HTCondor workers: its administrator has something to install."""


class PoolRefusedError(HTCDaskError, ValueError):
    """A worker pool was refused. The message names the field and the rule, or the missing right."""


class PoolStalledError(HTCDaskError):
    """No worker will come, however long one waits. The message has the operator's reason and what to do."""


class ClusterStartTimeoutError(HTCDaskError, TimeoutError):
    """The scheduler of a cluster could not be started in time. The message says what kept it from running."""


class PoolsNotThereError(HTCDaskError, ValueError):
    """The gateway has no pools of this cluster: the cluster, or the whole route, is not there."""


def extension_missing(address: str, option: str) -> ExtensionMissingError:
    """The error for a gateway that does not list our cluster option."""
    return ExtensionMissingError(
        f"The gateway at {address} does not offer HTCondor workers: it has no cluster option {option!r}. "
        "Its administrator has to add HTCDask's gateway extension: install the chart `htcdask`, and upgrade "
        "the gateway's own release with `--values gateway-values.yaml` from that chart. Until then, "
        "dask_gateway.Gateway gives clusters with Kubernetes workers."
    )


def option_missing(address: str, option: str, offered: Collection[str], words: Collection[str]) -> ValueError:
    """The error for a name that is neither one of this gateway's cluster options nor a keyword (`words`)."""
    known = ", ".join(offered) or "none"
    said = f"The gateway at {address} does not offer the cluster option {option!r} (it offers: {known}). "
    names = sorted({*offered, *words})
    longer = [name for name in names if name.endswith(f"_{option}")]  # "cores"
    if option not in words and (like := longer or get_close_matches(option, names, n=1)):
        return ValueError(f"{said}Did you mean {like[0]}?")
    return ValueError(
        f"{said}Leave {option}= away, or ask its administrator to add it to c.Backend.cluster_options."
    )


def login_refused(error: aiohttp.ClientResponseError, address: str, auth: Any) -> aiohttp.ClientResponseError:
    """The same error (401 or 403), whose message says who was refused what, and where."""
    who = f"user {auth.username!r}" if hasattr(auth, "username") else "this user"
    what = "did not accept the password or token of" if error.status == 401 else "does not allow this to"
    return aiohttp.ClientResponseError(
        error.request_info,
        error.history,
        status=error.status,
        message=f"the gateway at {address} {what} {who} ({type(auth).__name__})",
        headers=error.headers,
    )
