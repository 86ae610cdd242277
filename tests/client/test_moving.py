"""docs/notebook.md's table for who comes from elsewhere: what it tells them to write can be written."""

import inspect
import re
from pathlib import Path

import pytest

from htcdaskgateway import HTCGateway, HTCGatewayCluster
from htcdaskgateway._config import ClientConfig
from htcdaskgateway._worker_pools.keywords import read_keywords

PAGE = (Path(__file__).parents[2] / "docs/notebook.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("## Moving here")[2].partition("\n## ")[0]
ROWS = [[cell.strip() for cell in line.split(" | ")] for line in TABLE.splitlines() if line.startswith("| ")][
    1:
]
OURS = " ".join(row[-1] for row in ROWS)
KEYWORDS = sorted(set(re.findall(r"(\w+)=", OURS)))
METHODS = sorted(set(re.findall(r"cluster\.(\w+)\(", OURS)))


def test_the_table_is_about_all_four() -> None:
    assert [row[0].strip("| ") for row in ROWS if row[0] != "|"] == [
        *["NCSA", "Fermilab", "dask-jobqueue", "lpcjobqueue"]
    ]
    assert len(KEYWORDS) > 8
    assert METHODS == ["explain", "logs", "send_credentials"]


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_a_keyword_that_it_tells_is_one_of_new_cluster(keyword: str) -> None:
    assert keyword in inspect.signature(HTCGateway.new_cluster).parameters


@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_it_tells_is_there(method: str) -> None:
    assert callable(getattr(HTCGatewayCluster, method))


def test_the_sizes_of_dask_jobqueue_and_the_image_of_lpcjobqueue_come_to_the_same() -> None:
    sizes = {"worker_cores": 4, "worker_memory": "8GB", "worker_disk": "10GB", "worker_threads": 4}
    template = read_keywords({**sizes, "max_runtime": "1h"}, {}, ClientConfig.read()).template
    assert (template.cores, template.threads, template.max_runtime_seconds) == (4, 4, 3600)
    image = read_keywords(
        {"apptainer_image": "org/image:tag"}, {}, ClientConfig.read()
    ).template.container_image
    assert image == "/cvmfs/unpacked.cern.ch/registry.hub.docker.com/org/image:tag"
