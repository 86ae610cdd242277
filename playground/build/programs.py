"""Programs that are built from Go modules, once, into the cache. Node, site and tests ask here for a path.

A program is looked for in $KUBEBUILDER_ASSETS (the folder that envtest users have), then in the cache, under
a key made of everything it is built from. Only then it is fetched as a wheel, where there is one, or built.
"""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from playground.build import cache, paths, toolchain, wheels
from playground.build.progress import say

KUBERNETES = "1.34.4"
_STAMP = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Module:
    """One folder under build/go, and the programs that come out of it."""

    name: str
    programs: dict[str, str]
    stamps: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where its go.mod is."""
        return paths.SOURCE / "build" / "go" / self.name

    @property
    def flags(self) -> list[str]:
        """What `go build` is told."""
        return ["-buildvcs=false", "-ldflags", " ".join(["-s -w", *(f"-X {stamp}" for stamp in self.stamps)])]


_COMMANDS = "k8s.io/kubernetes/cmd"
MODULES = (
    # One module, so that Kubernetes' packages are compiled once: CoreDNS and Helm are of versions that use
    # those of this Kubernetes. kube-apiserver first: it is the longest, and most tests wait for it.
    Module(
        "kubernetes",
        {
            "kube-apiserver": f"{_COMMANDS}/kube-apiserver",
            "kubelet": f"{_COMMANDS}/kubelet",
            "kube-controller-manager": f"{_COMMANDS}/kube-controller-manager",
            "helm": "helm.sh/helm/v3/cmd/helm",
            "kubectl": f"{_COMMANDS}/kubectl",
            "kube-proxy": f"{_COMMANDS}/kube-proxy",
            "coredns": "./coredns",
            "kube-scheduler": f"{_COMMANDS}/kube-scheduler",
        },
        # Without these the programs report v0.0.0 and charts that ask for a Kubernetes version refuse.
        (
            f"{_STAMP}.gitVersion=v{KUBERNETES}",
            f"{_STAMP}.gitMajor={KUBERNETES.split('.')[0]}",
            f"{_STAMP}.gitMinor={KUBERNETES.split('.')[1]}",
            f"k8s.io/client-go/pkg/version.gitVersion=v{KUBERNETES}",
        ),
    ),
    Module("traefik", {"traefik": "github.com/traefik/traefik/v3/cmd/traefik"}),
)
_OWNER = {program: module for module in MODULES for program in module.programs}
_WHEELS = {wheel.program: wheel for wheel in (wheels.TRAEFIK,)}
# The longest first; Traefik last, since it comes as a wheel.
NAMES = tuple(_OWNER)
_LOCKS = {program: threading.Lock() for program in _OWNER}
_FOUND: dict[str, Path] = {}


def path(name: str) -> Path:
    """The path of a program of the table above; it is built if this machine never built it."""
    with _LOCKS[name]:  # several threads may want it, and one answer of the wheel's index is enough
        if name not in _FOUND:
            _FOUND[name] = asset(name) or _fetched(name) or _built(name)
        return _FOUND[name]


def target(name: str) -> Path:
    """Where `path` will most likely find it; nothing is built or fetched."""
    built = _target(name)
    wheel = _wheel(name)
    return asset(name) or (built if wheel is None or built.exists() else wheel)


def asset(name: str) -> Path | None:
    """A program of the envtest folder, if that folder is of the same minor version as everything here."""
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    if not folder or not (Path(folder) / name).is_file():
        return None
    server = Path(folder) / "kube-apiserver"
    said = (
        subprocess.run([server, "--version"], capture_output=True, text=True).stdout
        if server.is_file()
        else ""
    )
    return Path(folder) / name if f" v{KUBERNETES.rpartition('.')[0]}." in said else None


def key(module: Module, go_version: str) -> str:
    """Changes with anything that may change the binaries."""
    digest = hashlib.sha256()
    sources = sorted(path for path in module.folder.rglob("*") if path.suffix in {".mod", ".sum", ".go"})
    for source in sources:
        name = source.relative_to(module.folder)
        digest.update(str(name).encode() + b"\0" + source.read_bytes() + b"\0")
    for word in (*module.flags, go_version, toolchain.architecture()):
        digest.update(word.encode() + b"\0")
    return digest.hexdigest()[:16]


def _wheel(name: str) -> Path | None:
    return _WHEELS[name].target(toolchain.architecture()) if name in _WHEELS else None


def _fetched(name: str) -> Path | None:
    place = _wheel(name)
    if place is None or (_target(name).exists() and not place.exists()):
        return None
    try:
        return cache.once(place, f"fetching {name}", lambda draft: wheels.fetch(_WHEELS[name], draft))
    except wheels.NoWheelError as error:
        say(f"       {error}\n       So {name} is built from source.")
        return None


@functools.cache
def _go_version(folder: Path) -> str:
    return toolchain.go().run("env", "GOVERSION", cwd=folder)


def _target(name: str) -> Path:
    module = _OWNER[name]
    of_module = f"{module.name}-{key(module, _go_version(module.folder))}"
    return paths.cache() / "programs" / of_module / name


def _built(name: str) -> Path:
    module = _OWNER[name]

    def build(draft: Path) -> None:
        go = toolchain.go()
        go.run("build", *module.flags, "-o", str(draft), module.programs[name], cwd=module.folder)

    return cache.once(_target(name), f"building {name}", build)
