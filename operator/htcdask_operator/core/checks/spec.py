"""Checks of what is asked for, and of what the site allows: mostly a person's turn.

Listed in order in `chains.SPEC`.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from htcdask_api import classad_tokens
from htcdask_operator.core import reasons
from htcdask_operator.core.model import Gone, Unseen
from htcdask_operator.core.pool_state import Finding, Sight
from htcdask_operator.core.submit import descriptions, images, quoting


def pool_is_invalid(state: Sight) -> Finding | None:
    """Make sure the spec is understood."""
    if state.pool.invalid is None:
        return None
    return Finding(reasons.INVALID_POOL, f"The spec cannot be used: {state.pool.invalid}", stalled=True)


def cluster_is_unseen(state: Sight) -> Finding | None:
    """Make sure we know what the cluster wants."""
    if not isinstance(state.observed.cluster, Unseen):
        return None
    return Finding(reasons.CLUSTER_UNSEEN, f"The cluster could not be read: {state.observed.cluster.why}")


def cluster_is_not_found(state: Sight) -> Finding | None:
    """Make sure there is a cluster."""
    if not isinstance(state.observed.cluster, Gone):
        return None
    pool = state.pool
    return Finding(
        reasons.CLUSTER_NOT_FOUND,
        f"There is no DaskCluster {pool.spec.cluster_ref.name} in namespace {pool.namespace}; "
        "the pool waits for it. If spec.clusterRef.name is wrong, make a new pool: it cannot be changed.",
    )


def cluster_uses_kubernetes_workers(state: Sight) -> Finding | None:
    """Make sure the cluster's workers are ours to make."""
    if state.cluster is None or state.cluster.htcondor:
        return None
    return Finding(
        reasons.CLUSTER_USES_KUBERNETES_WORKERS,
        f"The cluster {state.cluster.name} was made with Kubernetes workers; "
        "make a cluster with the option worker_backend=htcondor.",
        stalled=True,
    )


def another_pool_follows_gateway(state: Sight) -> Finding | None:
    """Make sure one pool alone follows scale() and adapt()."""
    if state.pool.spec.scaling != "Gateway" or state.gateway_pool in (None, state.pool.uid):
        return None
    return Finding(
        reasons.ANOTHER_POOL_FOLLOWS_GATEWAY,
        "An older pool of this cluster follows scale() and adapt(); set scaling: Manual on this one.",
        stalled=True,
    )


def profile_is_unknown(state: Sight) -> Finding | None:
    """Make sure the profile exists."""
    profile, known = state.template.profile, state.policy.profiles
    if profile is None or profile in known:
        return None
    theirs = _theirs(state)
    there = f"there are {', '.join(theirs)}" if theirs else f"it has none{' for you' if known else ''}"
    remedy = "Make a new pool, with one of these or without" if theirs else "Make a new pool without one"
    return Finding(
        reasons.UNKNOWN_PROFILE, f"The site has no profile {profile}: {there}. {remedy}.", stalled=True
    )


def profile_is_not_allowed(state: Sight) -> Finding | None:
    """Make sure the profile is for this user."""
    profile, cluster = state.policy.profiles.get(state.template.profile or ""), state.cluster
    if profile is None or cluster is None or profile.is_for(cluster.username, cluster.groups):
        return None
    theirs, whom = _theirs(state), cluster.username
    there = f"name another one ({', '.join(theirs)}) or none" if theirs else "name none"
    if profile.groups:
        whom += ", nor for a group of theirs when the cluster was made"
        there += ", make a new cluster if they have joined one since"
    return Finding(
        reasons.PROFILE_NOT_ALLOWED,
        f"The site's profile {profile.name} is not for {whom}: {there}, or ask the site's people.",
        stalled=True,
    )


def _theirs(state: Sight) -> list[str]:
    """The names of the profiles that are for this user."""
    user, groups = "", frozenset[str]()
    if state.cluster is not None:
        user, groups = state.cluster.username, state.cluster.groups
    return sorted(name for name, its in state.policy.profiles.items() if its.is_for(user, groups))


def image_is_missing(state: Sight) -> Finding | None:
    """Make sure somebody said which image: jobs of one account are apart only inside containers."""
    if state.template.container_image:
        return None
    return Finding(
        reasons.IMAGE_MISSING,
        "No container image: set spec.template.containerImage to its path as execute nodes see it.",
        stalled=True,
    )


def image_is_not_allowed(state: Sight) -> Finding | None:
    """Make sure the site allows the image."""
    image, allowed = state.template.container_image or "", state.policy.allowed_images
    if not allowed or any(fnmatchcase(image, pattern) for pattern in allowed):
        return None
    return Finding(
        reasons.IMAGE_NOT_ALLOWED,
        f"The site does not allow the image {image}; it allows {', '.join(allowed)}.",
        stalled=True,
    )


def image_is_a_window(state: Sight) -> Finding | None:
    """Make sure a worker sees an image, and not the execute node's own files."""
    image, trees = state.template.container_image or "", state.policy.image_trees
    if not images.is_window(image, trees):
        return None
    where = f"below {' or '.join(trees)}" if trees else "nowhere at this site"
    return Finding(
        reasons.IMAGE_NOT_ALLOWED,
        f"The image {image} would be a folder of the execute node. Unpacked images may be {where}; "
        "a .sif file may be anywhere but in a job's scratch, and docker:// and oras:// URLs are fine.",
        stalled=True,
    )


def run_time_is_too_long(state: Sight) -> Finding | None:
    """Make sure that workers end in time for the site."""
    asked, most = state.template.max_runtime_seconds, state.policy.max_runtime_seconds
    if asked is None or most is None or asked <= most:
        return None
    return Finding(
        reasons.RUN_TIME_NOT_ALLOWED,
        f"A worker may run for {most} s at this site, and maxRuntimeSeconds is {asked}: ask for less, "
        "or leave it out. Workers that end are replaced.",
        stalled=True,
    )


def expressions_are_not_allowed(state: Sight) -> Finding | None:
    """Make sure that who writes expressions may."""
    own = state.pool.spec.template
    if state.policy.allow_user_expressions or not (own.requirements or own.rank):
        return None
    return Finding(
        reasons.EXPRESSIONS_NOT_ALLOWED,
        "The site does not allow requirements and rank in pools; leave them out or name a profile.",
        stalled=True,
    )


def expressions_name_the_profiles(state: Sight) -> Finding | None:
    """Make sure nobody has the profile's expressions evaluated again and again, by naming them often."""
    profile = state.policy.profiles.get(state.template.profile or "")
    if profile is None or not profile.expressions:
        return None
    for field, text in (("requirements", state.template.requirements), ("rank", state.template.rank)):
        named = classad_tokens.named(text or "")
        for name in profile.expressions:
            if name.lower() in named:
                return Finding(
                    reasons.BAD_EXPRESSION,
                    f"{field} names {name}, which is an expression of the profile {profile.name}: write what "
                    "you mean without it.",
                    stalled=True,
                )
    return None


def template_is_unusable(state: Sight) -> Finding | None:
    """Make sure that what the site's profile adds can be written down."""
    if state.cluster is None or state.current_hash is not None:
        return None
    try:  # once more, for the words
        descriptions.template_hash(state.pool, state.cluster, state.template, state.policy)
    except quoting.UnquotableError as error:
        return Finding(
            reasons.BAD_EXPRESSION,
            f"The site's profile or settings cannot be submitted: {error}. Tell the site's people.",
            stalled=True,
        )
    return None
