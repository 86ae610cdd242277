"""Programs that are built from Go modules, once, into the cache. Node, site and tests ask here for a path.

A program is looked for in $KUBEBUILDER_ASSETS (the folder that envtest users have), then in the cache, under
a key made of everything it is built from, and is built only then.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from playground.build import paths, toolchain
from playground.build.progress import step

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


MODULES = (
    Module(
        "kubernetes",
        # kube-apiserver first: most tests wait for that one.
        {
            name: f"k8s.io/kubernetes/cmd/{name}"
            for name in (
                "kube-apiserver",
                "kubectl",
                "kube-controller-manager",
                "kube-scheduler",
                "kubelet",
                "kube-proxy",
            )
        },
        # Without these the programs report v0.0.0 and charts that ask for a Kubernetes version refuse.
        (
            f"{_STAMP}.gitVersion=v{KUBERNETES}",
            f"{_STAMP}.gitMajor={KUBERNETES.split('.')[0]}",
            f"{_STAMP}.gitMinor={KUBERNETES.split('.')[1]}",
            f"k8s.io/client-go/pkg/version.gitVersion=v{KUBERNETES}",
        ),
    ),
    Module("coredns", {"coredns": "."}),
    Module("helm", {"helm": "helm.sh/helm/v3/cmd/helm"}),
    Module("traefik", {"traefik": "github.com/traefik/traefik/v3/cmd/traefik"}),
)
_OWNER = {program: module for module in MODULES for program in module.programs}
_LOCKS = {program: threading.Lock() for program in _OWNER}
_FOUND: dict[str, Path] = {}


def path(name: str) -> Path:
    """The path of a program of the table above; it is built if this machine never built it."""
    with _LOCKS[name]:  # several threads may want it, and one line of progress is enough
        if name not in _FOUND:
            _FOUND[name] = _find(name)
        return _FOUND[name]


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


def _find(name: str) -> Path:
    return asset(name) or _cached(_OWNER[name], name)


def everything() -> dict[str, Path]:
    """All programs. Traefik, the longest, is built beside the others."""
    failures: list[BaseException] = []

    def traefik() -> None:
        try:
            path("traefik")
        except BaseException as error:
            failures.append(error)

    beside = threading.Thread(target=traefik, name="build traefik")
    beside.start()
    try:
        found = {name: path(name) for name in _OWNER if name != "traefik"}
    finally:
        beside.join()
    if failures:
        raise failures[0]
    return {**found, "traefik": path("traefik")}


def key(module: Module, go_version: str) -> str:
    """Changes with anything that may change the binaries."""
    digest = hashlib.sha256()
    sources = sorted(path for path in module.folder.iterdir() if path.suffix in {".mod", ".sum", ".go"})
    for source in sources:
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    for word in (*module.flags, go_version, toolchain.architecture()):
        digest.update(word.encode() + b"\0")
    return digest.hexdigest()[:16]


def _cached(module: Module, name: str) -> Path:
    go = toolchain.go()
    version = go.run("env", "GOVERSION", cwd=module.folder)
    target = paths.cache() / "programs" / f"{module.name}-{key(module, version)}" / name
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with step(f"building {name}"), (target.parent / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # somebody else may be building it right now
        if not target.exists():
            draft = target.with_name(f".{name}.new")
            go.run("build", *module.flags, "-o", str(draft), module.programs[name], cwd=module.folder)
            draft.replace(target)
    return target
