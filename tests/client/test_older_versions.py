"""The client beside images of today: dask-gateway 2024.1, dask of that time, Python 3.10 where there is one.

What a notebook does all day runs in there, on our wheel, with the gateway server of that version, and the
tables of test_drop_in are held to it too.
"""

from pathlib import Path

import pytest

from htcdaskgateway._credentials import parcel
from tests.client import clean

VERSIONS = [
    *["dask-gateway==2024.1.*", "dask-gateway-server[kubernetes,local]==2024.1.*"],
    *["dask==2024.1.*", "distributed==2024.1.*"],
    *["hypothesis>=6.100", "ipywidgets>=8", "kubernetes>=36.0.2", "trustme>=1.2"],
    *["pytest>=8.3", "pytest-asyncio>=0.25", "pytest-timeout>=2.3"],
]
FOLDER = Path(__file__).parent.relative_to(clean.REPOSITORY)
DAILY = (
    *("test_drop_in.py", "test__client.py", "test__scaling.py", "test_snippets.py"),
    *("_worker_pools/test_keywords.py", "_worker_pools/test_submission.py", "_worker_pools/test_logs.py"),
    *("_worker_pools/test_waiting.py", "_worker_pools/test_widget.py"),
)
EVERY_MODULE = """
import importlib, pkgutil, htcdaskgateway
for module in pkgutil.walk_packages(htcdaskgateway.__path__, "htcdaskgateway."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
UNPACK = """
import pickle, sys
from distributed.diagnostics.plugin import WorkerPlugin
plugin = pickle.loads(bytes.fromhex(sys.argv[1]))
assert isinstance(plugin, WorkerPlugin)
print(type(plugin).__name__, plugin._contents["BEARER_TOKEN_FILE"].decode())
"""


@pytest.mark.timeout(1200)  # the first run installs them
def test_the_client_s_daily_work_is_done_with_dask_gateway_2024_1(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    interpreter = clean.python("3.10") or clean.python("here")
    assert interpreter is not None
    cache = pytestconfig.cache.mkdir("clean-environments")
    environment = clean.environment(cache, interpreter, clean.wheel(tmp_path), *VERSIONS)
    versions = "from importlib.metadata import version as v; print(v('dask-gateway'), v('distributed'))"
    assert environment.run("-c", versions).split() == ["2024.1.0", "2024.1.1"]
    environment.run("-c", EVERY_MODULE)
    # A notebook of another Python than the workers' sends credentials: they can unpack them.
    sent = parcel.packed({"BEARER_TOKEN_FILE": b"a.b.c"})
    assert environment.run("-c", UNPACK, sent.hex()).strip() == "CredentialFiles a.b.c"
    files = [str(FOLDER / name) for name in DAILY]
    options = ("-q", "-p", "no:cacheprovider", "--timeout=120")
    said = environment.run("-m", "pytest", *options, *files, seconds=500)
    assert " passed" in said
    assert "failed" not in said
