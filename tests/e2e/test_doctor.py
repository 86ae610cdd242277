"""`gateway.doctor()` on a whole site: nothing fails, or a worker that cannot start is explained."""

from typing import Any

from playground.site.site import Site
from tests.e2e.notebook import Door, Notebook

PROBE = """
before = {cluster.name for cluster in gateway.list_clusters()}
report = gateway.doctor(**asked).to_dict()
left = [cluster.name for cluster in gateway.list_clusters() if cluster.name not in before]
checks = {check["check"]: [check["state"], check["said"]] for check in report["checks"]}
result = [report["good"], checks, left]
"""


def examine(notebook: Notebook, **asked: Any) -> tuple[bool, dict[str, list[str]], list[str]]:
    """Whether nothing fails; each check's state and sentence; clusters that were left behind."""
    good, checks, left = notebook.run(PROBE, timeout=300, asked=asked)
    return good, checks, left


def unwell(checks: dict[str, list[str]]) -> dict[str, list[str]]:
    return {check: told for check, told in checks.items() if told[0] != "ok"}


def test_a_site_in_which_all_is_well(site: Site, door: Door) -> None:
    good, checks, left = examine(Notebook(site, door), probe=True, timeout=120)
    assert good, unwell(checks)
    assert unwell(checks) == {}
    assert "(by its certificate)" in checks["proxy"][1]
    assert "notebook, scheduler and 1 worker" in checks["versions"][1]
    assert left == []


def test_without_a_probe_traefik_turns_an_unknown_name_away(site: Site) -> None:
    good, checks, _ = examine(Notebook(site, user="carol"))
    assert good, unwell(checks)
    assert checks["proxy"][0] == "ok"
    assert checks["worker"][0] == "not tried"


def test_a_worker_that_no_slot_takes_is_explained(site: Site, notebook: Notebook) -> None:
    wish = 'requirements = TARGET.Arch == "PPC64"'
    good, checks, left = examine(notebook, probe=True, timeout=60, node_match_expr=wish)
    assert not good
    state, said = checks["worker"]
    assert state == "fails"
    assert "NoMatchingSlots" in said
    assert 'TARGET.Arch == "PPC64"' in said
    assert left == []
