"""`make screenshots`: the widget in a real JupyterLab in three states, as PNGs below docs/.

    python -m tests.e2e.screenshots [name of a playground]

It brings the site up if it is not, and leaves it up. Look at each picture before you commit it.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playground.build.paths import REPOSITORY
from playground.node.node import Node
from playground.site.site import Site, apply
from tests.e2e.browser import Lab, delete_notebook, jupyterlab, write_notebook

FOLDER = REPOSITORY / "docs" / "pictures"
MAKE = """from htcdaskgateway import HTCGateway
gateway = HTCGateway()
cluster = gateway.new_cluster({options})
cluster.scale(8)"""
END = "cluster.shutdown()\ngateway.close()"
# What is asked of the site, and what stands in the widget when it is time for the picture.
STATES = {
    "widget-healthy": ("", "8 of 8 workers connected"),
    "widget-waiting": ('worker_memory="100 TB"', "NoMatchingSlots"),
    "widget-stalled": (
        'container_image="/cvmfs/unpacked.cern.ch/registry.hub.docker.com/org/typo:latest"',
        "cluster.explain()",
    ),
}
NOTEBOOK = "screenshot.ipynb"
WITHIN = 180.0  # seconds, for a state to come


@contextmanager
def shown(site: Site, options: str) -> Iterator[Lab]:
    """A cluster's widget, below the second cell of a notebook; both go away after it."""
    write_notebook(site.jupyter_url, NOTEBOOK, [MAKE.format(options=options), "cluster", END])
    try:
        with jupyterlab(site.jupyter_url, NOTEBOOK) as lab:
            lab.run(0)
            lab.run(1)
            yield lab
            lab.run(2)
    finally:
        delete_notebook(site.jupyter_url, NOTEBOOK)


def take(site: Site, name: str, file: Path) -> None:
    """Wait for a state of STATES, and take its picture."""
    options, sign = STATES[name]
    with shown(site, options) as lab:
        lab.eventually(lambda: sign in lab.output(1), WITHIN, f"the widget says {sign!r}")
        lab.picture(lab.one(".jp-OutputArea-output:has(.widget-vbox)"), file)


def main(arguments: list[str]) -> int:
    """Take all pictures; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.screenshots", description=__doc__)
    parser.add_argument("playground", nargs="?", default="demo")
    parser.add_argument("--only", choices=STATES, help="this state alone")
    options = parser.parse_args(arguments)
    node = Node(options.playground)
    node.up()
    site = apply(node)
    FOLDER.mkdir(exist_ok=True)
    for name in [options.only] if options.only else STATES:
        take(site, name, FOLDER / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
