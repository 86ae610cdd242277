"""The package as a whole: its names, its files, how its modules import each other, and what pip installs."""

import json
import re
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import htcdaskgateway
from tests.client import clean

FOLDER = Path(htcdaskgateway.__file__).parent
NOTEBOOK = clean.REPOSITORY / "pyproject.toml"
OPERATOR = clean.REPOSITORY / "operator/pyproject.toml"
LARGEST_WHEEL = 160 * 1024  # bytes; it was 129 kB in November 2026
# Seconds of processor time that our import may take beyond dask-gateway's: it was 0.1 in November 2026.
LONGEST_IMPORT = 1.0
IMPORTED = """
import json, sys, time
import dask_gateway
from distributed import Client
start = time.process_time()
import htcdaskgateway
seconds = time.process_time() - start
assert htcdaskgateway.HTCGatewayCluster and htcdaskgateway.__version__
modules = {name.partition(".")[0] for name in sys.modules}
print(json.dumps({"seconds": seconds, "modules": sorted(modules), "file": htcdaskgateway.__file__}))
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clean.wheel(tmp_path_factory.mktemp("wheel"))


def project(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(file.read_text())["project"]
    return found


def packages(wheel: Path) -> set[str]:
    """The top-level names in a wheel, without its own metadata."""
    with zipfile.ZipFile(wheel) as files:
        names = {name.partition("/")[0] for name in files.namelist()}
    return {name for name in names if not name.endswith(".dist-info")}


def test_the_public_names_are_those_of_all() -> None:
    everything = vars(htcdaskgateway).items()
    public = {name for name, value in everything if name[0] != "_" and not isinstance(value, ModuleType)}
    assert public == set(htcdaskgateway.__all__)


def test_the_defaults_file_and_the_type_marker_are_part_of_the_package() -> None:
    assert (FOLDER / "htcdaskgateway.yaml").is_file()
    assert (FOLDER / "py.typed").is_file()


def test_no_import_is_hidden_from_the_import_contracts() -> None:
    """.importlinter leaves out what is imported for type checkers alone: a circle could hide there."""
    modules = list(FOLDER.rglob("*.py"))
    assert len(modules) > 10
    assert [module.name for module in modules if "TYPE_CHECKING" in module.read_text()] == []


def test_a_notebook_gets_the_client_and_no_operator(wheel: Path) -> None:
    assert packages(wheel) == {"htcdaskgateway", "htcdask_api"}
    assert wheel.stat().st_size < LARGEST_WHEEL
    with zipfile.ZipFile(wheel) as files:
        [metadata] = [name for name in files.namelist() if name.endswith(".dist-info/METADATA")]
        said = Parser().parsestr(files.read(metadata).decode())
    assert said["Requires-Python"] == ">=3.10"
    light = [asked for asked in said.get_all("Requires-Dist") or () if "extra ==" not in asked]
    names = {re.split("[<>=!;]", asked)[0] for asked in light}
    assert names == {"async-timeout", "dask-gateway", "distributed", "pydantic"}


def test_the_operators_wheel_holds_it_alone(tmp_path: Path) -> None:
    assert packages(clean.wheel(tmp_path, OPERATOR.parent)) == {"htcdask_operator"}


def test_both_distributions_are_of_one_version_and_a_developer_has_what_both_ask_for() -> None:
    notebook, operator = project(NOTEBOOK), project(OPERATOR)
    ours = f"htcdask=={notebook['version']}"
    assert operator["version"] == notebook["version"]
    assert ours in operator["dependencies"]
    assert {*operator["dependencies"]} - {ours} <= {*notebook["optional-dependencies"]["dev"]}


@pytest.mark.parametrize("version", ["here", "3.10"])
def test_it_installs_from_its_wheel_and_imports_quickly(
    version: str, wheel: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    interpreter = clean.python(version)
    if interpreter is None:
        pytest.skip(f"no Python {version} here; `make check` has read the code as {version}")
    cache = pytestconfig.cache.mkdir("clean-environments")
    environment = clean.environment(cache, interpreter, wheel)
    environment.run("-m", "pip", "check")
    assert environment.python.with_name("setup_condor").exists()
    seen = json.loads(environment.run("-c", IMPORTED, cwd=tmp_path))
    assert Path(seen["file"]).is_relative_to(environment.python.parents[1])
    assert {"kopf", "kubernetes", "htcondor2", "htcdask_operator"}.isdisjoint(seen["modules"])
    assert seen["seconds"] < LONGEST_IMPORT
