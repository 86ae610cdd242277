"""Real Helm, as the tests of this folder call it."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from playground.build import programs

CHART = Path(__file__).parents[2] / "charts/htcdask"
EXAMPLE = CHART / "ci/example-values.yaml"
SERVED = "apiregistration.k8s.io/v1"  # by each cluster: Helm alone does not know it

Objects = dict[tuple[str, str], dict[str, Any]]


class HelmError(Exception):
    """Helm refused; what it said is the message."""


def run_helm(*arguments: str) -> str:
    """What `helm` printed; HelmError when it refused."""
    command = [str(programs.path("helm")), *arguments]
    outcome = subprocess.run(command, capture_output=True, text=True)
    if outcome.returncode != 0:
        raise HelmError(outcome.stderr + outcome.stdout)
    return outcome.stdout


def render(
    *arguments: str, values: Path | None = EXAMPLE, release: str = "htcdask", namespace: str = "htcdask"
) -> Objects:
    """The objects that `helm install` makes, by kind and name."""
    given = ["--values", str(values)] if values else []
    if "--kube-version" not in arguments:  # a helm without its release's stamps takes itself for 1.20
        given += ["--kube-version", programs.KUBERNETES]
    given += ["--api-versions", SERVED]
    text = run_helm("template", release, str(CHART), "--namespace", namespace, *given, *arguments)
    objects = [document for document in yaml.safe_load_all(text) if document]
    return {(o["kind"], o["metadata"]["name"]): o for o in objects}
