"""containerd, its network plugins, and what is in its image store. daemons.py and node.py call it."""

from __future__ import annotations

import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from playground.build.errors import PlaygroundError
from playground.build.packages import find, need

SOCKET = "/run/containerd/containerd.sock"
POD_NETWORK = "10.244.0.0/16"
PAUSE = "docker.io/htcdask/pause:dev"
_IMPORT = "import.invalid/import"
_PLUGINS = Path("/usr/lib/cni")

_CONFIG = """\
version = 2
root = "{root}"
state = "/run/containerd"
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Without CAP_SYS_RESOURCE no process may become a less likely victim than its parent.
  restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{plugins}"
  conf_dir = "{networks}"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  BinaryName = "{runc}"
  SystemdCgroup = false
"""


def command(state: Path) -> list[str]:
    """Write containerd's configuration and return its command line."""
    containerd, runc, _ = need("containerd", "runc", str(_PLUGINS / "bridge"))
    networks = state / "etc" / "cni"
    networks.mkdir(parents=True, exist_ok=True)
    (networks / "10-playground.conflist").write_text(json.dumps(_network(), indent=1) + "\n")
    config = state / "etc" / "containerd.toml"
    config.write_text(
        _CONFIG.format(
            root=state / "containerd",
            socket=SOCKET,
            pause=PAUSE,
            plugins=_PLUGINS,
            networks=networks,
            runc=runc,
        )
    )
    return [containerd, "--config", str(config), "--log-level", "warn"]


def _network() -> dict[str, object]:
    addresses = {
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{"subnet": POD_NETWORK}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {
        "type": "bridge",
        "bridge": "pods0",
        "isGateway": True,
        "hairpinMode": True,  # a pod may call itself by its service
        "ipam": addresses,
    }
    return {
        "cniVersion": "0.4.0",
        "name": "playground",
        "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}],
    }


@dataclass(frozen=True)
class Archive:
    """One image in an `oci-archive` file."""

    path: Path
    name: str
    digest: str

    @classmethod
    def read(cls, path: Path) -> Archive:
        """What the archive says about itself."""
        with tarfile.open(path) as tar:
            members = (tar.extractfile(member) for member in tar if member.name.endswith("index.json"))
            index = next(members, None)
            if index is None:
                raise PlaygroundError(f"{path} is not an oci-archive: it holds no index.json")
            manifest = json.load(index)["manifests"][0]
        notes = manifest.get("annotations", {})
        name = notes.get("io.containerd.image.name") or notes.get("org.opencontainers.image.ref.name")
        if not name:
            raise PlaygroundError(f"{path} names no image: push it to oci-archive:FILE:NAME")
        return cls(path, full_name(name), manifest["digest"])


def full_name(name: str) -> str:
    """An image's name as the kubelet spells it."""
    first = name.split("/")[0]
    if "/" not in name:
        return f"docker.io/library/{name}"
    return name if "." in first or ":" in first or first == "localhost" else f"docker.io/{name}"


def load(archive: Archive, enter: list[str]) -> bool:
    """Import the image, entering the node by `enter`; False when that very image is there already."""
    ctr = _ctr(enter)
    listed = _run([*ctr, "images", "list", f"name=={archive.name}"])
    if archive.digest in listed:
        return False
    # Imported by digest and then named: containerd would put a date in front of the archive's own name.
    imported = f"{_IMPORT}@{archive.digest}"
    _run([*ctr, "images", "import", "--digests", "--base-name", _IMPORT, str(archive.path)])
    _run([*ctr, "images", "tag", "--force", imported, archive.name])
    _run([*ctr, "images", "remove", imported])
    return True


def running(enter: list[str]) -> set[str]:
    """The containers whose process lives."""
    return {
        words[0]
        for line in _run([*_ctr(enter), "tasks", "list"]).splitlines()
        if (words := line.split())[2:3] == ["RUNNING"]
    }


def _ctr(enter: list[str]) -> list[str]:
    return [*enter, find("ctr") or "ctr", "--address", SOCKET, "--namespace", "k8s.io"]


def _run(command: list[str]) -> str:
    outcome = subprocess.run(command, capture_output=True, text=True)
    if outcome.returncode != 0:
        raise PlaygroundError(f"`{' '.join(command)}` failed: {outcome.stderr.strip()}")
    return outcome.stdout
