"""What the operator would refuse of a new cluster's workers, by what the gateway says of the site. Pure.

Called by `offer_route` before anything is made. Each rule is one of the operator's own (`core/checks/spec.py`
and `core/scaling/limits.py` there), and is applied only where all that it depends on is known: the gateway's
options may still fill what neither the pool nor its profile says. What is let through the operator decides.
A test holds both against each other.
"""

import math
import re
from collections.abc import Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Final

from htcdask_api import Template
from htcdaskgateway._worker_pools.profiles import Offer, gib, listed, places

_SCRATCH: Final = re.compile(r"/(?:.*/)?dir_[0-9]+/.*")  # HTCondor's folders for jobs
_WHOSE: Final = {"PerUser": "one user", "": "all users"}


def complaint(template: Template, offer: Offer) -> str | None:
    """What is wrong with such workers at this site, by the keyword that says so; None if nothing is known."""
    return next(_complaints(template, offer), None)


def other_image(image: str | None, own: Template, offer: Offer) -> str | None:
    """A sentence, if workers do not get the image that somebody, such as the Hub, chose for the scheduler."""
    profile = offer.profile(own.profile)
    asked = own if profile is None else own.over(profile.template)
    if image is None or offer.images.from_gateway or asked.container_image is not None:
        return None
    return (
        f"image={image!r:.200} is the scheduler's alone: this site makes no image for workers of it, and "
        f"theirs is {offer.template.container_image}. For workers of the same build say container_image="
    )


def _complaints(own: Template, offer: Offer) -> Iterator[str]:
    profile = offer.profile(own.profile)
    if own.profile is not None and profile is None:
        yield f"profile: this site has no profile {own.profile!r}{_others(own.profile, offer)}"
    elif profile is not None and not profile.you_may:
        yield f"profile: the site's profile {profile.name!r} is not for you{_others('', offer)}"
    asked = own if profile is None else own.over(profile.template)
    yield from _image(asked, offer)
    most = offer.limits.get("maxRuntimeSeconds")
    if asked.max_runtime_seconds is not None and most is not None and asked.max_runtime_seconds > most:
        yield (
            f"max_runtime: a worker may run for {most} s at this site, and {asked.max_runtime_seconds} s are "
            "asked for: ask for less, or leave it out; workers that end are replaced"
        )
    if not offer.user_expressions and (own.requirements or own.rank):
        yield "node_match_expr: this site does not allow requirements and rank: name a profile instead"
    yield from _sizes(asked, offer)


def _others(name: str, offer: Offer) -> str:
    """`. Did you mean 'b'? There are: a, b`."""
    theirs = {profile.name.casefold(): profile.name for profile in offer.profiles if profile.you_may}
    near = get_close_matches(name.casefold(), theirs, n=1)
    mean = f". Did you mean {theirs[near[0]]!r}?" if near else "."
    names = sorted(theirs.values())
    return f"{mean} Yours are: {listed(names)}" if names else f"{mean} There is none for you: leave it out"


def _image(asked: Template, offer: Offer) -> Iterator[str]:
    image, images = asked.container_image, offer.images
    if image is None:
        if not images.from_gateway and offer.template.container_image is None:
            yield "container_image: this site has no default image: name one, as execute nodes see it"
        return
    if images.allowed and not any(fnmatchcase(image, pattern) for pattern in images.allowed):
        yield f"container_image: the site does not allow {image}; it allows {listed(images.allowed)}"
    if _is_window(image, images.trees):
        yield (
            f"container_image: {image} would be a folder of the execute node. Unpacked images may be "
            f"{places(images.trees)}; a .sif file may be anywhere but in a job's scratch, and docker:// and "
            "oras:// URLs are fine"
        )


def _is_window(image: str, trees: tuple[str, ...]) -> bool:
    """As `core/submit/images.py` of the operator has it."""
    if image.startswith(("docker://", "oras://")) or image.endswith(".sif"):
        return _SCRATCH.fullmatch(image) is not None
    return not any(image.rstrip("/").startswith(tree.rstrip("/") + "/") for tree in trees)


def _sizes(asked: Template, offer: Offer) -> Iterator[str]:
    """One worker that is larger than what all together may have never runs. Unset sizes are not known."""
    sizes = {
        "cores": ("Cores", asked.cores, 1),
        "memory": ("Memory", math.ceil(asked.memory_bytes / 2**20), 2**20),  # HTCondor counts whole MiB
        "gpus": ("Gpus", asked.gpus, 1),
    }
    for field, (kind, size, unit) in sizes.items():
        for suffix, whose in _WHOSE.items():
            most = offer.limits.get(f"max{kind}{suffix}")
            if field in asked.model_fields_set and most is not None and size > most / unit:
                shown, limit = (gib(size * unit), gib(most)) if unit > 1 else (size, most)
                yield (
                    f"worker_{field}: a worker of {shown} can never run: all workers of {whose} together may "
                    f"have {limit} at this site"
                )
