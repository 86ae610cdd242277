"""The examples that need a whole site run as they are, in the notebook pod."""

from playground.build.paths import REPOSITORY
from playground.site.site import Site
from tests.e2e.look import clean


def test_first_cluster(site: Site) -> None:
    """What `make demo` shows: 8 workers, a result, 2 workers, and an empty queue."""
    code = (REPOSITORY / "examples/first_cluster.py").read_text(encoding="utf-8")
    output = site.notebook(code, timeout=300)
    assert "8 workers" in output
    assert "pi is about 3.14" in output
    assert "scaled down to 2 workers" in output
    name = output.partition("cluster gateway.")[2].split()[0]
    clean(site, f"gateway.{name}")
