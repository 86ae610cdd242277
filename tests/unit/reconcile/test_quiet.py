"""What kopf says, and what of it stands in our log."""

import inspect
import logging
from collections.abc import Iterator

import pytest
from kopf._core.actions import application

from htcdask_operator.watch import handlers


@pytest.fixture
def quiet() -> Iterator[logging.Logger]:
    """kopf's logger of objects, as the operator sets it; the next test finds it as it was."""
    whole, objects = logging.getLogger("kopf"), logging.getLogger("kopf.objects")
    before = whole.level, list(objects.filters)
    handlers.quieten()
    yield objects
    whole.level, objects.filters[:] = before


def test_a_pools_spec_is_not_quoted(quiet: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    quiet.warning("Merge-patching finished with inconsistencies: (('change', ..., 'sesame', None),)")
    quiet.error("Handler 'pool_deleted' failed temporarily: pool p still has jobs in the queue")
    quiet.warning("something else")
    assert [record.getMessage() for record in caplog.records] == ["something else"]
    assert "finished with inconsistencies" in inspect.getsource(application), "kopf says it otherwise now"
