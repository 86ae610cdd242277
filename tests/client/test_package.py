"""The package as a whole: its public names, its data files, and how its modules import each other."""

from pathlib import Path
from types import ModuleType

import htcdaskgateway

FOLDER = Path(htcdaskgateway.__file__).parent


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
