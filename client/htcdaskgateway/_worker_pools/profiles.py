"""`Profiles`: the kinds of workers that a site has names for, as the gateway told one user. Pure.

Made by `offer_route` from the gateway's answer. What a site has not said is not known, and never taken for
"none": then `offer` is None, and `situation` says why. The names and texts are the site's own, but they come
by a ConfigMap, so what cannot be printed is not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Annotated, Any, Final

from pydantic import Field

from htcdask_api import Template
from htcdask_api.base import ApiModel
from htcdask_api.spec import ProfileName

_COLUMNS: Final = (
    *("profile", "cores", "memory", "disk", "GPUs", "longest run", "image", "attributes", "for you"),
)
_LONGEST: Final = 120  # characters of one cell
_NONE: Final = "(none)"
_LIMITS: Final = {
    "maxReplicasPerPool": "workers of one pool",
    "maxReplicasPerUser": "workers of one user",
    "maxCoresPerUser": "cores of one user",
    "maxMemoryPerUser": "memory of one user",
    "maxGpusPerUser": "GPUs of one user",
    "maxReplicas": "workers of all users",
    "maxCores": "cores of all users",
    "maxMemory": "memory of all users",
    "maxGpus": "GPUs of all users",
    "maxRuntimeSeconds": "run time of one worker",
}


class Profile(ApiModel):
    """A kind of worker that a site has a name for; what its `template` leaves out comes from elsewhere."""

    name: ProfileName
    you_may: bool
    template: Template
    attributes: tuple[str, ...]
    max_replicas: int | None = None


class Images(ApiModel):
    """Where workers' images may be; `from_gateway`: whether the scheduler's image is the workers', too."""

    trees: tuple[str, ...]
    allowed: tuple[str, ...]
    from_gateway: bool


class Offer(ApiModel):
    """What a site offers to a user."""

    template: Template
    profiles: tuple[Profile, ...]
    limits: Mapping[str, Annotated[int, Field(ge=0, lt=2**71)]]  # memory in bytes
    images: Images
    user_expressions: bool

    def profile(self, name: str | None) -> Profile | None:
        """The profile of this name, if there is one."""
        return next((profile for profile in self.profiles if profile.name == name), None)


@dataclass(frozen=True, repr=False)
class Profiles:
    """The profiles of a site. Prints as text, shows as a table in a notebook, and is data by `.to_dict()`."""

    offer: Offer | None
    situation: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data, fit for JSON, in the gateway's words; `profiles` is None where they are not known."""
        told = {"profiles": None} if self.offer is None else self.offer.manifest()
        return {"situation": self.situation, **told}

    def __str__(self) -> str:
        if self.offer is None:
            return f"The profiles of this site are not known: {_clean(self.situation or '', 1000)}"
        rows = [_COLUMNS, *_rows(self.offer)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, *_notes(self.offer)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        if self.offer is None:
            return f"<p>{escape(str(self))}</p>"
        head = "".join(f"<th>{column}</th>" for column in _COLUMNS)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in _rows(self.offer)
        )
        notes = "".join(f"<p>{escape(note)}</p>" for note in _notes(self.offer))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"


def _rows(offer: Offer) -> Iterator[tuple[str, ...]]:
    """A row for who names no profile, and one for each; blanks are filled from the site's default worker."""
    yield (_NONE, *_worker(offer.template), "", "yes")
    for profile in offer.profiles:
        worker = _worker(profile.template.over(offer.template))
        yield (
            profile.name,
            *worker,
            _clean(", ".join(profile.attributes)),
            "yes" if profile.you_may else "no",
        )


def _worker(template: Template) -> tuple[str, ...]:
    run = template.max_runtime_seconds
    return (
        *(str(template.cores), template.memory, template.disk, str(template.gpus)),
        "" if run is None else _time(run),
        _clean(template.container_image or ""),
    )


def _notes(offer: Offer) -> Iterator[str]:
    limits = [f"{_limit(name, offer.limits[name])}" for name in _LIMITS if name in offer.limits]
    if limits:
        yield f"At the most: {'; '.join(limits)}."
    yield f"Unpacked images are {places(offer.images.trees)}."
    if offer.images.allowed:
        yield f"The images that the site allows: {listed(offer.images.allowed)}."


def _limit(name: str, most: int) -> str:
    if name == "maxRuntimeSeconds":
        return f"{_time(most)} {_LIMITS[name]}"
    return f"{gib(most) if 'Memory' in name else most} {_LIMITS[name]}"


def gib(size: int) -> str:
    """Bytes in words."""
    return f"{size / 2**30:.4g} GiB"


def places(trees: Sequence[str]) -> str:
    """Where unpacked images may be, in words."""
    return f"below {listed(trees, ' or ')}" if trees else "nowhere at this site"


def listed(texts: Sequence[str], separator: str = ", ") -> str:
    """The first ones, fit for a message, and how many more there are."""
    more = len(texts) - 20
    return separator.join(map(_clean, texts[:20])) + (f" and {more} more" if more > 0 else "")


def _time(seconds: int) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _clean(text: str, longest: int = _LONGEST) -> str:
    shown = "".join(character if character.isprintable() else "?" for character in text[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
