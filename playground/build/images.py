"""The images that run on the playground, made without a registry. Site and command line call `build`.

Each image is kept in the cache under a key of all it was made from, so what did not change is not made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from playground.build import buildah, cache, paths, programs, rootfs_condor, rootfs_debian

REPOSITORY = paths.REPOSITORY
# Without the operator: a change there leaves the gateway, the schedulers and the notebooks alone.
_CLIENT = ("pyproject.toml", "client", "crds")
_OTHER_THAN_CODE = {"__pycache__", ".mypy_cache", ".ruff_cache"}


@dataclass(frozen=True)
class Artifact:
    """A file of the cache: where it will be, and how it comes there."""

    target: Callable[[], Path]
    make: Callable[[], Path]


@dataclass(frozen=True)
class Recipe:
    """How one image is made: a Containerfile, what it stands on, and what goes in."""

    name: str
    base: str | None = None
    # Files and folders of the repository that the Containerfile copies.
    sources: tuple[str, ...] = ()
    # A file of the cache that it adds instead: a root file system or a program.
    artifact: Artifact | None = None
    # The project's own Dockerfile is built as users build it: from the repository, by its own rules.
    own: bool = False
    # Whose Containerfile it is, if not its own.
    like: str | None = None

    @property
    def file(self) -> Path:
        """Its Containerfile."""
        return (
            REPOSITORY / "Dockerfile"
            if self.own
            else paths.SOURCE / "build" / "containerfiles" / (self.like or self.name) / "Containerfile"
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


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("base", artifact=Artifact(rootfs_debian.target, rootfs_debian.build)),
        Recipe("pause", base="base"),
        Recipe(
            "dask-deps", base="base", sources=("playground/build/containerfiles/dask-deps/requirements.txt",)
        ),
        Recipe("dask", base="dask-deps", sources=_CLIENT),
        Recipe(
            "jupyter-deps",
            base="dask-deps",
            sources=("playground/build/containerfiles/jupyter-deps/requirements.txt",),
        ),
        # The same layer of code on more: schedulers and the gateway do without JupyterLab.
        Recipe("notebook", base="jupyter-deps", sources=_CLIENT, like="dask"),
        Recipe(
            "operator",
            base="base",
            sources=(*_CLIENT, "operator", "README.md", "LICENSE"),
            own=True,
        ),
        Recipe("condor", artifact=Artifact(rootfs_condor.target, rootfs_condor.build)),
        Recipe(
            "traefik", artifact=Artifact(lambda: programs.target("traefik"), lambda: programs.path("traefik"))
        ),
    )
}
# What nodes load; the others are only stood upon.
NAMES = ("pause", "traefik", "dask", "notebook", "operator", "condor")


def build() -> dict[str, Image]:
    """All images that a node loads, by name."""
    return {name: image(name) for name in NAMES}


def planned(name: str) -> Image:
    """What `image` will most likely return; nothing is built."""
    recipe = RECIPES[name]
    base = planned(recipe.base) if recipe.base else None
    return _image(recipe, base, recipe.artifact.target() if recipe.artifact else None)


def image(name: str) -> Image:
    """One image; it and what it stands on are built if the cache has not got them."""
    recipe = RECIPES[name]
    base = image(recipe.base) if recipe.base else None
    artifact = recipe.artifact.make() if recipe.artifact else None
    found = _image(recipe, base, artifact)
    cache.once(
        found.archive,
        f"building image {name}",
        lambda draft: _build(recipe, found, base, artifact, draft),
        buildah.turn,
    )
    return found


def _image(recipe: Recipe, base: Image | None, artifact: Path | None) -> Image:
    key = _key(recipe, base, artifact)
    return Image(recipe.name, key, paths.cache() / "images" / f"{recipe.name}-{key}.tar")


def _build(recipe: Recipe, target: Image, base: Image | None, artifact: Path | None, draft: Path) -> None:
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
    buildah.export(target.tag, draft, target.reference)


def _key(recipe: Recipe, base: Image | None, artifact: Path | None) -> str:
    digest = hashlib.sha256(recipe.file.read_bytes())
    if base is not None:
        digest.update(base.key.encode())
    if artifact is not None:
        # Its place in the cache already names all that it was made from.
        digest.update(f"{artifact.parent.name}/{artifact.name}".encode())
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
