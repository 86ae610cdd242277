"""What the gateway's own configuration says of a cluster's workers, for those in HTCondor; and who adds.

Used by `htcdask_gateway`, and pasted beside it into the API server's configuration. A DaskCluster holds the
whole configuration of its cluster: the values of the gateway's chart, and what an options handler said over
them. Cores, memory and image the operator reads there by itself; the environment and the threads are put into
the template of a new pool here. What stands in the pool's own template goes before. What a pod alone can have
cannot be put anywhere: it is told.
"""

import re
from pathlib import Path
from typing import Any

# htcdask_api.spec has these too, but is not installed where this runs; a test compares them.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
VALUE = re.compile(r"[^\x00-\x1f\x7f]{0,16384}")
MOST_VARIABLES, MOST_CHARACTERS, MOST_THREADS = 256, 32_768, 1024

ENTRY = "# From gateway.extraConfig."  # so the chart begins each, in the order of their keys
# What makes a Kubernetes worker another one, and can be in no job.
OF_PODS = ("worker_extra_pod_config", "worker_extra_container_config", "worker_cmd")
Json = dict[str, Any]


def fill(template: Any, said: Any, backend: Any) -> list[str]:
    """Put into the template what a cluster's configuration says; the names of what cannot be there.

    What is no template is for others to refuse.
    """
    if not isinstance(template, dict) or not isinstance(said, dict):
        return []
    threads, own = said.get("worker_threads"), template.get("environment") or {}
    # A profile is a whole kind of worker. As many threads as cores is what the gateway writes by itself.
    if template.get("profile") is None and template.get("threads") is None and _is_chosen(threads, said):
        template["threads"] = threads
    if not isinstance(own, dict):
        return []
    variables = said.get("environment")
    variables = variables if isinstance(variables, dict) else {}
    if fit := _fit(variables, own):
        template["environment"] = {**fit, **own}
    lacking = [f"environment.{name:.40}" for name in map(str, variables) if name not in {**fit, **own}]
    # What a site gives all its pods no user has chosen: it is in the configuration before any option.
    usual = backend.cluster_config_class(parent=backend).to_dict()
    return lacking + [name for name in OF_PODS if said.get(name) and said[name] != usual.get(name)]


def later_entries(file: str | None) -> list[str]:
    """The entries of `gateway.extraConfig` that run after ours, in the file that its chart writes."""
    text = Path(file).read_text() if file else ""
    _, ours, after = text.partition(f"{ENTRY}zz-htcdask\n")
    return re.findall(f"^{ENTRY}(.+)$", after, re.MULTILINE) if ours else []


def _is_chosen(threads: Any, config: Json) -> bool:
    cores = config.get("worker_cores")
    same = max(int(cores), 1) if isinstance(cores, (int, float)) else None
    return type(threads) is int and 0 < threads <= MOST_THREADS and threads != same


def _fit(variables: Json, own: Json) -> Json:
    """Those that a pool may have beside its `own`: what is unfit must not make it a pool that is refused."""
    found: Json = {}
    room = MOST_CHARACTERS - sum(len(name) + len(str(value)) for name, value in own.items())
    for name, value in variables.items():
        if (
            name in own
            or not isinstance(value, str)
            or not NAME.fullmatch(name)
            or not VALUE.fullmatch(value)
        ):
            continue
        if len(own) + len(found) < MOST_VARIABLES and len(name) + len(value) <= room:
            found[name] = value
            room -= len(name) + len(value)
    return found
