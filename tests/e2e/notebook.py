"""Run Python in the site's notebook pods, the way a physicist's notebook would, and bring its result back."""

import json
import textwrap
from dataclasses import dataclass
from typing import Any

from playground.site.site import Site

IMAGE = "/cvmfs/unpacked.cern.ch/registry.hub.docker.com/htcdask/worker:latest"
RESULT = "NOTEBOOK-RESULT "


@dataclass(frozen=True)
class Door:
    """One way for a notebook to make its pools: which pod it runs in and what its dask configuration says."""

    name: str
    pod: str
    config: dict[str, Any]


GATEWAY_ROUTE = Door("gateway-route", "notebook", {})
KUBERNETES_API = Door(
    "kubernetes-api",
    "notebook-kubernetes",
    {"htcdask.pool-api": "kubernetes", "htcdask.namespace": "gateway"},
)
DOORS = (GATEWAY_ROUTE, KUBERNETES_API)


@dataclass(frozen=True)
class Notebook:
    """A user at one door. `run(code)` returns what the code assigned to `result` (JSON)."""

    site: Site
    door: Door = GATEWAY_ROUTE
    user: str = "alice"

    def prelude(self) -> str:
        """The lines before the user's own: where the gateway is and who is asking."""
        return textwrap.dedent(
            f"""
            import json, time
            import dask
            dask.config.set({self.door.config!r})
            from dask_gateway.auth import BasicAuth
            from htcdaskgateway import HTCGateway
            IMAGE = {IMAGE!r}
            def connect_gateway(user={self.user!r}, password={self.site.password!r}):
                return HTCGateway(address={self.site.inner_gateway_url!r}, auth=BasicAuth(user, password))
            gateway = connect_gateway()
            """
        )

    def run(self, code: str, timeout: float = 180, **values: Any) -> Any:
        """Run `code` with `values` as variables; it fails the test with the notebook's own output."""
        lines = [self.prelude(), *(f"{key} = {value!r}" for key, value in values.items())]
        lines += [
            "result = None",
            textwrap.dedent(code),
            f"print({RESULT!r} + json.dumps(result), flush=True)",
        ]
        output = self.site.notebook("\n".join(lines), pod=self.door.pod, timeout=timeout)
        found = [line for line in output.splitlines() if line.startswith(RESULT)]
        assert found, output
        return json.loads(found[-1].removeprefix(RESULT))

    def leave_running(self, code: str) -> tuple[Any, int]:
        """Run `code` in a process that then waits: its `result`, and the process to `kill`."""
        stays = "\n".join(
            [
                self.prelude(),
                textwrap.dedent(code),
                "print(json.dumps(result), flush=True)",
                "time.sleep(3600)",
            ]
        )
        result, process = self.run(
            """
            import subprocess, sys
            nothing = subprocess.DEVNULL
            process = subprocess.Popen(
                [sys.executable, "-c", stays], stdin=nothing, stdout=subprocess.PIPE, stderr=nothing
            )
            result = [json.loads(process.stdout.readline()), process.pid]
            """,
            stays=stays,
        )
        return result, process

    def kill(self, process: int) -> None:
        """`kill -9`: the process cleans nothing up."""
        pod = f"deployment/{self.door.pod}"
        self.site.kubectl("exec", "--namespace=notebooks", pod, "--", "sh", "-c", f"kill -9 {process}")

    def new_cluster(self, **options: Any) -> str:
        """The name of a new cluster with HTCondor workers that outlives this call."""
        return str(
            self.run(
                """
                cluster = gateway.new_cluster(container_image=IMAGE, shutdown_on_close=False, **options)
                result = cluster.name
                """,
                options=options,
            )
        )

    def scale(self, cluster: str, count: int) -> None:
        """`cluster.scale(count)`."""
        self.run("gateway.connect(cluster).scale(count)", cluster=cluster, count=count)

    def shutdown(self, cluster: str) -> None:
        """`cluster.shutdown()`."""
        self.run("gateway.connect(cluster).shutdown()", cluster=cluster)
