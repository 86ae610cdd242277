"""The client's own errors. Each is also one of dask-gateway's, so that code written for it keeps working."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, Final

import aiohttp
from dask_gateway import GatewayClusterError, GatewayServerError
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from htcdask_api import complaint, shown_names
from htcdask_api.spec import ENVIRONMENT_ADVICE

__all__ = [
    "ClusterStartTimeoutError",
    "ExtensionMissingError",
    "GatewayAwayError",
    "HTCDaskError",
    "PoolRefusedError",
    "PoolStalledError",
]

# What a keyword must be, by its template's field, where the field's own rule is not in the user's words.
_MUST_BE: Final = {
    "memory": "a size from 64Mi to below 1Pi: 4 (GiB), '4Gi' or '512MB'",
    "disk": "a size from 64Mi to below 1Pi: 10 (GiB), '10Gi' or '800MB'",
    "profile": "at most 63 letters, digits, spaces and any of - _ . , such as 'Small GPU'",
    "nanny": "True or False",
    "environment": "a mapping of names to texts or numbers, such as {'OMP_NUM_THREADS': '1'}",
    "resources": "a mapping of names to numbers, such as {'GPU': 1}",
}
_TEXTS: Final = {
    "container_image": "a text, such as '/images/worker.sif' or 'docker://registry.example/worker'",
    "environment": "a text or a number, such as '1'",
}

_NUMBERS_OF_WORKERS: Final = ("n_workers", "nworkers", "num_workers", "workers")  # Dask's other clusters
_LONGEST_OF_OTHERS: Final = 100  # characters of what a proxy says
_NEAR: Final = 0.75  # of 1, by difflib: "memroy" and "worker_mem" are near to something


class HTCDaskError(GatewayClusterError):  # type: ignore[misc]
    """Something about HTCondor workers went wrong; the message says what, where and what to do."""


class ExtensionMissingError(HTCDaskError):
    """The gateway does not know HTCondor workers: its administrator has something to install."""


class PoolRefusedError(HTCDaskError, ValueError):
    """A worker pool was refused. The message names the field and the rule, or the missing right."""


class PoolStalledError(HTCDaskError):
    """No worker will come, however long one waits. The message has the operator's reason and what to do."""


class ClusterStartTimeoutError(HTCDaskError, TimeoutError):
    """The scheduler of a cluster could not be started in time. The message says what kept it from running."""


class PoolsNotUnderstoodError(HTCDaskError, ValueError):
    """What the gateway says of pools makes no sense to this client, which may be the older of the two."""


class PoolsNotThereError(HTCDaskError, ValueError):
    """The gateway has no pools of this cluster: the cluster, or the whole route, is not there."""


class GatewayAwayError(GatewayServerError, ValueError):  # type: ignore[misc]
    """Something else answers in the gateway's place: it may be back in a moment. ValueError as upstream's."""


def gateway_away(address: str, status: int, said: str) -> GatewayAwayError:
    """The error for a 404 that is not the gateway's own; `said` is its text."""
    return GatewayAwayError(
        f"The gateway at {address} is not there: something else answered {status} in its place "
        f"({said.strip()[:_LONGEST_OF_OTHERS]!r}). It may be restarting: try again. If that lasts: is this "
        "the gateway's address?"
    )


def extension_missing(address: str, option: str) -> ExtensionMissingError:
    """The error for a gateway that does not list our cluster option."""
    return ExtensionMissingError(
        f"The gateway at {address} does not offer HTCondor workers: it has no cluster option {option!r}. "
        "Its administrator has to add HTCDask's gateway extension: install the chart `htcdask`, and upgrade "
        "the gateway's own release with `--values gateway-values.yaml` from that chart. Until then, "
        "dask_gateway.Gateway gives clusters with Kubernetes workers."
    )


def option_missing(
    address: str, option: str, value: Any, offered: Collection[str], words: Collection[str]
) -> ValueError:
    """The error for a name that is neither one of this gateway's cluster options nor a keyword (`words`)."""
    known = ", ".join(offered) or "none"
    said = f"The gateway at {address} does not offer the cluster option {option!r} (it offers: {known}). "
    if option in _NUMBERS_OF_WORKERS:
        count = value if isinstance(value, int) and not isinstance(value, bool) else "n"
        return ValueError(f"{said}The number of workers is said afterwards: cluster.scale({count})")
    names = sorted({*offered, *words})
    longer = [name for name in names if name.endswith(f"_{option}")]  # "cores"
    if option not in words and (like := longer or get_close_matches(option, names, n=1, cutoff=_NEAR)):
        return ValueError(f"{said}Did you mean {like[0]}?")
    return ValueError(
        f"{said}Leave {option}= away, or ask its administrator to add it to c.Backend.cluster_options."
    )


def refuse_others(
    call: str, others: Collection[str], words: Collection[str], number: str | None = None
) -> None:
    """TypeError for the first keyword that `call` does not have, with the one of its own that is like it.

    `number`: the one that says how many workers.
    """
    for typed in others:
        like = [word for word in words if typed.startswith(f"{word}_") or typed in word.split("_")]
        like = like or [word for word in words if len(typed) > 2 and word.startswith(typed)]  # "min"
        if number is not None and typed in ("n", "count", "size", *_NUMBERS_OF_WORKERS):
            like = [number]
        like = like or get_close_matches(typed, words, n=1, cutoff=_NEAR)
        advice = f"did you mean {like[0]}?" if len(like) == 1 else f"it takes {', '.join(words)}"
        raise TypeError(f"{call}() has no keyword {typed!r:.80}: {advice}")


def keyword_refused(error: ValidationError, words: Mapping[str, str], typed: Mapping[str, Any]) -> Exception:
    """The first thing that is wrong with a template, by the keyword that the user wrote.

    `words`: the keyword of each field; `typed`: what was given by it. Of mappings no value is shown.
    """
    first, *others = error.errors(include_url=False)
    (place, *inner), rule = complaint(error)
    # Locations are by alias (camelCase) or by name, whichever was used; ours are given by name.
    field = next((name for name in words if place in (name, to_camel(name))), place)
    keyword, value = words.get(field, place), typed.get(words.get(field, place))
    message = f"{'.'.join([keyword, *inner])}: {_rule(field, bool(inner), first, rule)}"
    if field not in ("environment", "resources"):
        message += f"; got {shown(value if field in ('memory', 'disk') else first['input'])}"
    elif isinstance(value, Mapping) and first["type"] == "too_long":
        message += f": {ENVIRONMENT_ADVICE}"
    elif first["type"].endswith("_type"):
        message += "; got None" if first["input"] is None else f"; got a {type(first['input']).__name__}"
        if inner and (like := [other["loc"][1] for other in others if other["type"] == first["type"]]):
            message += f", and so for {shown_names(like)}"
    return TypeError(message) if first["type"].endswith("_type") else ValueError(message)


def _rule(field: str, inside: bool, first: Any, rule: str) -> str:
    """What pydantic says, as one would say it to somebody who does not know pydantic."""
    kind, bounds = first["type"], first.get("ctx", {})
    if field in ("memory", "disk"):
        value = first["input"]
        if isinstance(value, str) and value.isdecimal():
            return f"must have a unit, as a text: write '{value:.20}Gi' or {value:.20}, which is GiB"
        return f"must be {_MUST_BE[field]}"
    if rule.startswith("names must be"):
        return rule
    if inside and kind.startswith(("float", "finite")):
        return "must be a number, such as 1"
    if kind in ("string_type", "string_unicode"):
        return f"must be {_TEXTS.get(field, 'a text')}"
    if kind in ("dict_type", "bool_type", "bool_parsing", "string_pattern_mismatch", "string_too_short"):
        return f"must be {_MUST_BE.get(field, 'another one')}"
    if kind.startswith("int"):
        return "must be a whole number"
    for bound, words in (("ge", "{:.0f} or more"), ("le", "{:.0f} or less")):
        if bound in bounds:
            return f"must be {words.format(bounds[bound])}"
    if "max_length" in bounds:
        return f"must have at most {bounds['max_length']} {'items' if kind == 'too_long' else 'characters'}"
    return f"{rule[:1].lower()}{rule[1:]}"


def shown(value: Any) -> str:
    """A short value as it was written; only the kind of one with others inside, such as os.environ."""
    return f"{value!r:.80}" if isinstance(value, (str, int, float)) else f"a {type(value).__name__}"


def name_wanted(given: Any) -> Exception:
    """The error for something else in the place of a cluster's name, such as the cluster."""
    example = "'gateway.0a1b2c'" if not isinstance(getattr(given, "name", None), str) else repr(given.name)
    if given == "":
        return ValueError(
            f"connect() wants the name of a cluster, as list_clusters() has it: {example}; got ''"
        )
    kind = type(given).__name__
    return TypeError(
        f"connect() wants the name of a cluster, as list_clusters() has it: {example}; got a {kind}"
    )


def login_refused(error: aiohttp.ClientResponseError, address: str, auth: Any) -> aiohttp.ClientResponseError:
    """The same error (401 or 403), whose message says who was refused what, and where."""
    who = f"user {auth.username!r}" if hasattr(auth, "username") else "this user"
    what = "did not accept the password or token of" if error.status == 401 else "does not allow this to"
    return aiohttp.ClientResponseError(
        error.request_info,
        error.history,
        status=error.status,
        message=f"the gateway at {address} {what} {who} ({type(auth).__name__})",
        headers=error.headers,
    )
