"""The package as a whole: its names, its files, how its modules import each other, and what pip installs."""

import json
from pathlib import Path
from types import ModuleType

import pytest

import htcdaskgateway
from tests.client import clean

FOLDER = Path(htcdaskgateway.__file__).parent
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
