"""JupyterLab in the notebook pod, with the example notebooks. Only site.py calls it."""

from __future__ import annotations

import json

from playground.build import paths
from playground.node.node import Node

EXAMPLES = paths.REPOSITORY / "examples"


def notebooks() -> dict[str, str]:
    """The texts of the example notebooks, by file name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.ipynb"))}


def settings(token: str) -> str:
    """What JupyterLab reads at its start: a file, as an argument would show the token to everybody."""
    return json.dumps(
        {
            # The pod's own address, which nobody outside of the node can reach but by `forward`.
            "ServerApp": {"ip": "0.0.0.0", "port": 8888, "open_browser": False},  # noqa: S104
            "IdentityProvider": {"token": token},
            # Nothing but this site is asked, and no question about news hides the notebook.
            "LabApp": {
                "news_url": None,
                "check_for_updates_class": "jupyterlab.handlers.announcements.NeverCheckForUpdate",
            },
        },
        indent=1,
    )


def url(node: Node, token: str) -> str:
    """Where a browser of this machine finds it; the token lets it in."""
    return f"http://127.0.0.1:{node.forward('jupyterlab', 'jupyterlab.notebooks', 80)}/lab?token={token}"


def logs(node: Node) -> str:
    """What JupyterLab has said since its start."""
    return node.kubectl("logs", "--namespace=notebooks", "deployment/notebook")
