"""Which credential goes to the gateway.

Called when a gateway or a cluster object is made, before dask-gateway's own constructor. Promises that a
JupyterHub token is never sent to an address that somebody typed into a notebook.
"""

import os
from typing import Any

import dask
from dask_gateway.auth import get_auth

_DEFAULT_TYPE = "basic"


def choose_auth(address: str | None, auth: Any = None) -> Any:
    """`auth` if given, else what the configuration says; on a JupyterHub that says nothing, its token."""
    if auth is None and address is None and _on_unconfigured_hub():
        auth = "jupyterhub"
    try:
        return get_auth(auth)
    except (KeyError, OSError) as error:
        # getpass.getuser() in a container whose user id has no name
        raise ValueError(
            "The gateway wants a user name, and this process has none "
            f"(user id {os.getuid()} is not in the password database). "
            "Give one: HTCGateway(auth=BasicAuth(username=..., password=...)), or set the variable USER."
        ) from error


def _on_unconfigured_hub() -> bool:
    if not os.environ.get("JUPYTERHUB_API_TOKEN"):
        return False
    if dask.config.get("gateway.auth.type", None) != _DEFAULT_TYPE or dask.config.get(
        "gateway.auth.kwargs", None
    ):
        return False
    # dask-gateway's default is "basic" too: only the files and the environment tell whether a site said so.
    return dask.config.get("gateway.auth.type", None, config=dask.config.collect()) is None
