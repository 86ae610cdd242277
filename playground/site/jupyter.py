"""JupyterLab in the notebook pod, with the example notebooks. Only site.py calls it."""

from __future__ import annotations

import json

from playground.build import paths
from playground.node.node import Node

# The service of the gateway's Traefik, as upstream's chart calls it; dashboards come through it, too.
GATEWAY_HOST = "traefik-dask-gateway.gateway"
EXAMPLES = paths.REPOSITORY / "examples"


def notebooks() -> dict[str, str]:
    """The texts of the example notebooks, by file name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.ipynb"))}


def settings(token: str) -> dict[str, str]:
    """The files that JupyterLab reads at its start; as an argument the token would be shown to everybody."""
    server = {
        # The pod's own address, which nobody outside of the node can reach but by `forward`.
        "ServerApp": {"ip": "0.0.0.0", "port": 8888, "open_browser": False},  # noqa: S104
        "IdentityProvider": {"token": token},
        "ServerProxy": {"host_allowlist": [GATEWAY_HOST]},
    }
    # Nobody elsewhere is asked for anything, and no question about news hides the notebook.
    overrides = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}
    return {"jupyter_server_config.json": json.dumps(server), "overrides.json": json.dumps(overrides)}


def url(node: Node, token: str) -> str:
    """Where a browser of this machine finds it; the token lets it in."""
    return f"http://127.0.0.1:{node.forward('jupyterlab', 'jupyterlab.notebooks', 80)}/lab?token={token}"
