"""The widget in a real JupyterLab: a browser opens the first notebook, and scales by the widget's buttons."""

import re
import socket
import time
import urllib.parse
from pathlib import Path

from playground.site.site import Site
from tests.e2e.browser import Lab, jupyterlab
from tests.e2e.look import clean, settled

MAKE, SHOW, SCALE, PI, SHUT_DOWN = 1, 3, 5, 7, 11
"""The cells of first_cluster.ipynb."""


def connected(lab: Lab, count: int) -> None:
    """Wait until the widget says so: dask-gateway's part of it, and ours."""

    def said() -> bool:
        text = lab.output(SHOW)
        return f"Workers {count}\n" in text and f"{count} of {count} workers connected" in text

    lab.eventually(said, 90, f"the widget shows {count} workers")


def test_the_widget_scales_and_adapts_a_real_cluster(site: Site) -> None:
    began = time.monotonic()
    with jupyterlab(site.jupyter_url, "first_cluster.ipynb") as lab:
        lab.run(MAKE)
        found = re.search(r"Name: (gateway\.\w+)", lab.run(SHOW))
        assert found is not None
        cluster = found[1]
        connected(lab, 0)
        lab.unfold("Manual Scaling")
        lab.type("Workers", 2)
        lab.press("Scale")
        connected(lab, 2)
        settled(site, cluster, 2)
        lab.unfold("Adaptive Scaling")
        lab.type("Minimum", 1)
        lab.type("Maximum", 3)
        lab.press("Adapt")  # there is no work
        connected(lab, 1)
        settled(site, cluster, 1)
        lab.run(SCALE)
        connected(lab, 4)
        assert re.search(r"pi is about 3\.1[34]", lab.run(PI))
        lab.run(SHUT_DOWN)
        assert "HTCondor: this object is closed" in lab.output(SHOW)
        lab.one(".lm-TabBar-tab[data-id=dask-dashboard-launcher]")
    clean(site, cluster)
    show = ("logs", "--namespace=notebooks", "deployment/notebook")
    assert "dask_labextension | extension was successfully loaded." in site.kubectl(*show)
    log = site.kubectl(*show, f"--since={time.monotonic() - began:.0f}s")
    assert [line for line in log.splitlines() if line.startswith(("[E ", "Traceback"))] == []


def test_nobody_else_can_reach_it(site: Site) -> None:
    """It listens on the machine's loopback alone, and asks for its token there."""
    address = urllib.parse.urlsplit(site.jupyter_url)
    assert address.hostname == "127.0.0.1"
    tables = "".join(Path(f"/proc/net/{each}").read_text() for each in ("tcp", "tcp6"))
    # 0A: it listens. The kernel writes addresses in hexadecimal, the last byte of 127.0.0.1 first.
    listening = re.findall(rf": (\w+):{address.port:04X} \w+:\w+ 0A", tables)
    assert listening == ["0100007F"]
    with socket.create_connection((address.hostname, address.port or 0), timeout=10) as connection:
        connection.sendall(b"GET /api/contents HTTP/1.0\r\n\r\n")
        assert b" 403 " in connection.recv(64)
