"""The values for the upstream chart: generated, last in line, and beside whatever the site has."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from playground.build import programs
from tests.gateway.servers import IMAGE_CUSTOMIZATION, OURS, ROOT, configuration, extra_config

PARTS = (
    "gateway/htcdask_gateway.py",
    "scripts/render_gateway_values.py",
    "charts/htcdask/gateway-values.yaml",
    "gateway/htcdask_heartbeats.py",
    "gateway/htcdask_bodies.py",
    "gateway/htcdask_config.py",
    "gateway/htcdask_errors.py",
    "gateway/htcdask_groups.py",
    "gateway/htcdask_logs.py",
    "gateway/htcdask_mark.py",
    "gateway/htcdask_offer.py",
    "gateway/htcdask_options.py",
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for part in PARTS:
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / part, tmp_path / part)
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / PARTS[1]), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_values_in_the_chart_are_up_to_date(copy: Path) -> None:
    checked = run(copy, "--check")
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("part", [PARTS[0], *PARTS[3:]])
def test_the_check_names_what_to_run_and_writes_nothing(copy: Path, part: str) -> None:
    (copy / part).write_text((copy / part).read_text() + "# changed\n")
    before = (copy / PARTS[2]).read_text()
    checked = run(copy, "--check")
    assert checked.returncode == 1
    assert "run python scripts/render_gateway_values.py" in checked.stderr
    assert (copy / PARTS[2]).read_text() == before
    assert run(copy).returncode == 0
    assert run(copy, "--check").returncode == 0


def test_it_is_one_entry_of_a_map_that_comes_last() -> None:
    assert list(yaml.safe_load(OURS.read_text())) == ["gateway"]
    assert list(yaml.safe_load(OURS.read_text())["gateway"]) == ["extraConfig"]
    (key,) = extra_config(OURS)
    assert sorted([key, "a", "z", "zulu", "image-customization", "Z"])[-1] in (key, "zulu")


def test_it_leaves_the_names_of_the_configuration_file_alone() -> None:
    """The site's functions look their names up when they run, long after our entry."""
    from traitlets.config import Config

    before = {"c": Config(), "web": "the site's", "Options": "the site's", "error": "the site's"}
    namespace: dict[str, Any] = dict(before)
    exec(configuration(extra_config(OURS)), namespace)  # noqa: S102 (as the server does with its configuration)
    new = {name for name in namespace if name not in before}
    assert new == {"__builtins__", "_htcdask", "_htcdask_source"}
    assert {name: namespace[name] for name in before} == before


def test_helm_merges_it_with_a_sites_map(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: probe, version: 1.0.0}")
    (tmp_path / "templates/values.yaml").write_text("values: {{ .Values | toJson }}")
    command = [str(programs.path("helm")), "template", "probe", str(tmp_path)]
    command += ["--values", str(IMAGE_CUSTOMIZATION), "--values", str(OURS)]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    values = yaml.safe_load(rendered)["values"]
    assert values["gateway"]["extraConfig"] == {**extra_config(IMAGE_CUSTOMIZATION), **extra_config(OURS)}
    assert json.dumps(values["gateway"]["loglevel"]) == '"INFO"'


def test_an_umbrella_chart_hands_the_nested_values_to_the_gateway(tmp_path: Path) -> None:
    """By the command of docs/gateway.md, for a chart whose dask-gateway is two charts below."""
    inner, outer = "dask-gateway", "daskhub"
    (nest,) = [
        line.strip() for line in (ROOT / "docs/gateway.md").read_text().splitlines() if "sed 's/^/" in line
    ]
    nested = subprocess.run(
        ["sh", "-c", nest.split(" > ")[0]], cwd=ROOT, capture_output=True, text=True, check=True
    )
    twice = f"{outer}:\n" + "".join(f"  {line}\n" for line in nested.stdout.splitlines())
    (tmp_path / "nested.yaml").write_text(twice)
    for place in (".", f"charts/{outer}", f"charts/{outer}/charts/{inner}"):
        folder = tmp_path / place
        (folder / "templates").mkdir(parents=True)
        name = folder.name if place != "." else "hub"
        (folder / "Chart.yaml").write_text(f"{{apiVersion: v2, name: {name}, version: 1.0.0}}")
    (folder / "templates/values.yaml").write_text('values: {{ omit .Values "global" | toJson }}')
    command = [
        str(programs.path("helm")),
        "template",
        "hub",
        str(tmp_path),
        "--values",
        str(tmp_path / "nested.yaml"),
    ]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert yaml.safe_load(rendered)["values"] == yaml.safe_load(OURS.read_text())
