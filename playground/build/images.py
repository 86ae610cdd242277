"""The images that run on the playground, made without a registry. Site and command line call `build`.

Each image is kept in the cache under a key of all it was made from, so what did not change is not made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from playground.build import buildah, paths, programs, rootfs_condor, rootfs_debian
from playground.build.progress import step

REPOSITORY = paths.REPOSITORY
# Without the operator: a change there leaves the gateway, the schedulers and the notebooks alone.
_CLIENT = ("pyproject.toml", "client", "crds", "gateway")
_KEPT = 3
_OTHER_THAN_CODE = {"__pycache__", ".mypy_cache", ".ruff_cache"}


@dataclass(frozen=True)
class Recipe:
    """How one image is made: a Containerfile, what it stands on, and what goes in."""

    name: str
    base: str | None = None
    # Files and folders of the repository that the Containerfile copies.
    sources: tuple[str, ...] = ()
    # A file of the cache that it adds instead: a root file system or a program.
    artifact: Callable[[], Path] | None = None
    # The project's own Dockerfile is built as users build it: from the repository, by its own rules.
    own: bool = False

    @property
    def file(self) -> Path:
        """Its Containerfile."""
        return (
            REPOSITORY / "Dockerfile"
            if self.own
            else paths.SOURCE / "build" / "containerfiles" / self.name / "Containerfile"
        )


@dataclass(frozen=True)
class Image:
    """An image in the cache, ready for a node's image store."""

    name: str
    key: str
    archive: Path

    @property
    def reference(self) -> str:
        """What pods call it."""
        return f"docker.io/htcdask/{self.name}:dev"

    @property
    def tag(self) -> str:
        """What buildah's store calls it."""
        return f"localhost/htcdask/{self.name}:{self.key}"


_RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("base", artifact=rootfs_debian.rootfs),
        Recipe("pause", base="base"),
        Recipe(
            "dask-deps", base="base", sources=("playground/build/containerfiles/dask-deps/requirements.txt",)
        ),
        Recipe("dask", base="dask-deps", sources=_CLIENT),
        Recipe(
            "operator",
            base="base",
            sources=(*_CLIENT, "operator", "README.md", "LICENSE"),
            own=True,
        ),
        Recipe("condor", artifact=rootfs_condor.build),
        Recipe("traefik", artifact=lambda: programs.path("traefik")),
    )
}
# What nodes load; the others are only stood upon.
NAMES = ("pause", "traefik", "dask", "operator", "condor")


def build() -> dict[str, Image]:
    """All images that a node loads, by name. What Go has to build first comes last."""
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="image") as pool:
        # The two root file systems are downloads: they overlap, and buildah takes one image at a time anyway.
        condor = pool.submit(image, "condor")
        done = {name: pool.submit(image, name) for name in ("pause", "dask", "operator", "traefik")}
        return {name: future.result() for name, future in {**done, "condor": condor}.items()}


def image(name: str) -> Image:
    """One image; it and what it stands on are built if the cache has not got them."""
    recipe = _RECIPES[name]
    base = image(recipe.base) if recipe.base else None
    artifact = recipe.artifact() if recipe.artifact else None
    key = _key(recipe, base, artifact)
    found = Image(name, key, paths.cache() / "images" / f"{name}-{key}.tar")
    if found.archive.exists():
        return found
    found.archive.parent.mkdir(parents=True, exist_ok=True)
    with step(f"building image {name}"), buildah.turn():
        if not found.archive.exists():
            _build(recipe, found, base, artifact)
    return found


def _build(recipe: Recipe, target: Image, base: Image | None, artifact: Path | None) -> None:
    arguments: dict[str, str] = {}
    if base is not None:
        buildah.ensure(base.tag, base.archive)
        arguments["BASE"] = base.tag
    if artifact is not None:
        arguments["FILE"] = artifact.name
    context = artifact.parent if artifact is not None else REPOSITORY
    # Layers are kept where a step before the last is slow: there, packages are installed before the code.
    options = (
        ["--layers"]
        if recipe.own
        else ["--ignorefile", str(paths.SOURCE / "build" / "containerfiles" / "ignore")]
    )
    buildah.build(target.tag, recipe.file, context, arguments, options)
    buildah.export(target.tag, target.archive, target.reference)
    _prune(target)


def _prune(newest: Image) -> None:
    archives = [
        path
        for path in newest.archive.parent.glob(f"{newest.name}-*.tar")
        if path.name.rpartition("-")[0] == newest.name
    ]
    # A few stay: another checkout, or another run that is just loading one, may use them.
    for old in sorted(archives, key=lambda path: path.stat().st_mtime)[:-_KEPT]:
        old.unlink(missing_ok=True)


def _key(recipe: Recipe, base: Image | None, artifact: Path | None) -> str:
    digest = hashlib.sha256(recipe.file.read_bytes())
    if base is not None:
        digest.update(base.key.encode())
    if artifact is not None:
        # Its place in the cache already names all that it was made from.
        digest.update(f"{artifact.parent.name}/{artifact.name} {artifact.stat().st_size}".encode())
    for source in recipe.sources:
        for file in _files(REPOSITORY / source):
            digest.update(f"{file.relative_to(REPOSITORY)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
        return
    for entry in sorted(source.iterdir()):
        if entry.name not in _OTHER_THAN_CODE:
            yield from _files(entry)
