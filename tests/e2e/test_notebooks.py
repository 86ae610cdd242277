"""The example notebooks run in the notebook pod, from the first to the last cell, and keep their promises."""

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from playground.site import jupyter
from playground.site.site import Site
from tests.e2e.notebook import Notebook

RUN = """
import tempfile
import nbformat
from nbclient import NotebookClient
notebook = nbformat.reads(text, as_version=4)
with tempfile.TemporaryDirectory() as folder:
    resources = {"metadata": {"path": folder}}
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources=resources).execute()
result = [[dict(output) for output in cell.outputs] for cell in notebook.cells if cell.cell_type == "code"]
"""
TOGETHER = 2  # kernels at a time, each with a cluster of its own


@dataclass(frozen=True)
class Executed:
    """A notebook that ran to its end: all outputs of its code cells."""

    outputs: tuple[dict[str, Any], ...]

    def stream(self, name: str) -> str:
        return "".join(each["text"] for each in self.outputs if each.get("name") == name)

    @property
    def printed(self) -> str:
        """What it printed."""
        return self.stream("stdout")

    @property
    def shown(self) -> str:
        """What it showed as text."""
        return "\n".join(each["data"].get("text/plain", "") for each in self.outputs if "data" in each)


LISTED = "result = [report.name for report in gateway.list_clusters()]"


@pytest.fixture(scope="module")
def before(site: Site) -> list[str]:
    """The clusters of other tests, which go on."""
    found: list[str] = Notebook(site).run(LISTED)
    return found


@pytest.fixture(scope="module")
def runs(site: Site, before: list[str]) -> Iterator[dict[str, Future[Executed]]]:
    """All notebooks, some at the same time, as most of them wait."""

    def run(text: str) -> Executed:
        cells = Notebook(site).run(RUN, timeout=500, text=text)
        return Executed(tuple(output for cell in cells for output in cell))

    with ThreadPoolExecutor(TOGETHER) as pool:
        yield {name: pool.submit(run, text) for name, text in jupyter.notebooks().items()}


def executed(runs: dict[str, Future[Executed]], name: str) -> Executed:
    """One of them; no cell raised, and none printed what somebody else's exception looks like."""
    found = runs.pop(f"{name}.ipynb").result()
    assert "Traceback" not in found.stream("stderr") + found.printed
    return found


def test_first_cluster(runs: dict[str, Future[Executed]]) -> None:
    found = executed(runs, "first_cluster")
    assert re.search(r"pi is about 3\.1[34]", found.printed)
    assert "4 of 4 workers connected" in found.shown
    assert any("application/vnd.jupyter.widget-view+json" in each.get("data", {}) for each in found.outputs)


def test_adapting(runs: dict[str, Future[Executed]]) -> None:
    printed = executed(runs, "adapting").printed
    assert "workers before: 0\n" in printed
    assert f"sum of squares: {sum(number**2 for number in range(240))}\n" in printed
    found = re.search(r"workers that computed: (\d)", printed)
    assert found is not None
    assert 1 <= int(found[1]) <= 4  # on a busy machine the first one may have done all before others come
    assert "workers after: 0\n" in printed
    assert "again: 6\n" in printed


def test_gpu_and_cpu_pools(runs: dict[str, Future[Executed]]) -> None:
    printed = executed(runs, "gpu_and_cpu_pools").printed
    assert "tasks that may run anywhere ran on 3 workers\n" in printed
    assert len(re.findall(r"tasks for the GPU ran on \S+ with GPU-\d{8}\n", printed)) == 1
    assert "gpu: 1 connected, 1 GPUs each\n" in printed
    assert "default: 2 connected, 0 GPUs each\n" in printed


def test_why_no_workers(runs: dict[str, Future[Executed]]) -> None:
    printed = executed(runs, "why_no_workers").printed
    assert "no worker came: " in printed
    assert re.search(r"1 waiting: NoMatchingSlots: .*emory", printed)
    assert "sum on a smaller worker: 6\n" in printed


def test_credentials(runs: dict[str, Future[Executed]]) -> None:
    printed = executed(runs, "credentials").printed
    assert "the worker has the same token: True\n" in printed
    assert "its file has the mode 0o600\n" in printed


def test_none_is_left_out_and_nothing_is_left(
    notebook: Notebook, runs: dict[str, Future[Executed]], before: list[str]
) -> None:
    """After the tests above: each notebook has one, and each took its cluster away."""
    assert list(runs) == []
    assert set(notebook.run(LISTED)) <= set(before)
