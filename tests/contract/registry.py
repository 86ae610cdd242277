"""A registry of container images on loopback, by HTTPS, for execute nodes that trust its authority."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playground.build import buildah, images
from playground.build.packages import need
from playground.node.certificates import Authority

_START_SECONDS = 20.0
_REPOSITORY = "htcdask/worker:latest"
_CONFIG = """\
version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {folder}/images}}}}
http:
  addr: {address}
  tls: {{certificate: {pair.certificate}, key: {pair.key}}}
"""


@contextmanager
def registry(folder: Path) -> Iterator[tuple[str, Path]]:
    """Serve the worker image; its URL as a pool names it, and the certificate of who signs for the server."""
    authority = Authority(folder / "certificates")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    pair = authority.issue("registry", "registry", hosts=["127.0.0.1"])
    config = folder / "registry.yaml"
    config.write_text(_CONFIG.format(folder=folder, address=address, pair=pair))
    server = subprocess.Popen([*need("docker-registry"), "serve", str(config)], stderr=subprocess.PIPE)
    try:
        _await(address, server)
        image = images.image("dask-deps")
        with buildah.turn():
            buildah.ensure(image.tag, image.archive)
            zstd = ("--compression-format", "zstd", "--compression-level", "1")
            buildah.run("push", "--tls-verify=false", *zstd, image.tag, f"docker://{address}/{_REPOSITORY}")
        yield f"docker://{address}/{_REPOSITORY}", authority.pair.certificate
    finally:
        server.kill()
        server.communicate()


def _await(address: str, server: subprocess.Popen[bytes]) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the registry does not serve at {address}") from None
            time.sleep(0.05)
        else:
            return
