"""docs/operations.md names each metric of the operator and no other; and what names machines."""

import re
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from htcdask_operator import metrics

PAGE = (Path(__file__).parents[2] / "docs/operations.md").read_text()


def shown() -> set[str]:
    """As Prometheus knows them: a counter ends with _total."""
    ours = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    found = [metric for one in ours for metric in one.collect()]
    return {f"{metric.name}_total" if metric.type == "counter" else metric.name for metric in found}


def test_the_page_names_each_metric_and_no_other() -> None:
    table = PAGE.partition("## What to watch")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(htcdask_\w+)", table, re.MULTILINE)) == shown()


def test_the_machines_that_are_avoided_are_named_while_they_are() -> None:
    def shown_machines() -> dict[str, float]:
        (family,) = metrics.AVOIDED.collect()
        return {sample.labels["machine"]: sample.value for sample in family.samples}

    metrics.avoid({"node7", "node9"})
    assert shown_machines() == {"node7": 1, "node9": 1}
    metrics.avoid({f"node{number:03}" for number in range(500)})
    assert len(shown_machines()) == metrics.MOST_MACHINES
    metrics.avoid(())
    assert shown_machines() == {}
