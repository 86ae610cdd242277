"""One Kubernetes node in its own namespaces. The command line, the site and the tests call it.

It promises that `up` may be called at any time (it starts, repairs or does nothing), and that `down` leaves
no process, mount, namespace, interface or firewall rule on the machine.
"""

from __future__ import annotations

from pathlib import Path


class Node:
    """One instance of the playground's node, known by its name."""

    def __init__(self, name: str = "demo") -> None:
        self.name = name
        self.state: Path = Path()
        self.kubeconfig: Path = Path()

    def up(self, fresh: bool = False) -> None:
        """Bring the node up to Ready; `fresh` wipes the cluster's state first and keeps the image store."""
        raise NotImplementedError

    def down(self) -> None:
        """End every process of the node; the kernel then takes its namespaces with it."""
        raise NotImplementedError

    def kubectl(self, *args: str, input: str | None = None, check: bool = True) -> str:
        """Run kubectl as cluster admin and return what it printed; `check` raises on failure."""
        raise NotImplementedError

    def helm(self, *args: str) -> str:
        """Run helm as cluster admin and return what it printed."""
        raise NotImplementedError

    def load_image(self, tar: Path) -> None:
        """Put an `oci-archive` (with a reference name) into the image store, unless that digest is there."""
        raise NotImplementedError

    def forward(self, name: str, host: str, port: int) -> int:
        """Make host:port, as the node sees it, reachable on 127.0.0.1; the local port is returned.

        `host` is an address or the name of a Service (`traefik-dask-gateway.gateway`). The same `name` gives
        the same local port for as long as the instance's state lives.
        """
        raise NotImplementedError

    def enter(self, *argv: str) -> list[str]:
        """The command line that runs `argv` inside the node's namespaces."""
        raise NotImplementedError
