"""What is refused before a cluster is made: nothing that the operator would take."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import htcdask_offer
from htcdask_api import Template
from htcdask_operator.core.actions import SubmitWorkers
from htcdask_operator.core.policy import Policy, Profile
from htcdask_operator.core.submit import descriptions
from htcdask_operator.core.submit.template import resolve
from htcdask_operator.process import offer
from htcdaskgateway._worker_pools.profiles import Offer
from htcdaskgateway._worker_pools.refusals import complaint
from tests.builders import make_anchor, make_cluster, make_observed, make_policy, make_pool, plan_for

IMAGE = "/cvmfs/org/image"
GROUPS = frozenset({"atlas"})  # of alice


def told(policy: Policy, user: str = "alice") -> Offer:
    """By the operator, through the gateway's extension."""
    return Offer.model_validate(htcdask_offer.read(json.dumps(offer.content(policy)), user, GROUPS))


def operator_takes(template: Template, policy: Policy, config: dict[str, Any]) -> bool:
    """Whether a pool of a new cluster that asks for one worker gets it, where nobody else is."""
    pool, cluster = make_pool(template=template), make_cluster(1, groups=GROUPS, config=config)
    template_hash = descriptions.template_hash(pool, cluster, resolve(pool, cluster, policy), policy)
    planned = plan_for([pool], make_observed(cluster, [make_anchor(template_hash)]), policy)
    return any(isinstance(action, SubmitWorkers) for action in planned.actions)


IMAGES = st.sampled_from(
    [
        *(
            IMAGE,
            IMAGE,
            IMAGE,
            IMAGE,
            "/cvmfs",
            "/cvmfs2/image",
            "/home/x",
            "/home/x.sif",
            "/scratch/dir_12/x.sif",
        ),
        *("docker://org/image", "oras://org/image", "/data/images/deep/image"),
    ]
)
MEMORIES = st.sampled_from(["64Mi", "1000M", "954Mi", "2Gi", "3Gi", "1025Mi"])


def maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of these."""
    return st.fixed_dictionaries({}, optional=fields)


WORKERS = maybe(
    container_image=IMAGES,
    cores=st.integers(1, 3),
    memory=MEMORIES,
    gpus=st.integers(0, 2),
    max_runtime_seconds=st.sampled_from([300, 3600, 7200]),
)
PROFILES = {
    "gpu": Profile("gpu", Template(gpus=1, memory="2Gi"), users=("a*",)),
    "GPU": Profile("GPU", Template(gpus=2, container_image="/home/x"), users=("bob",)),
    "ours": Profile("ours", Template(), groups=("atlas", "dune")),
    "theirs": Profile("theirs", Template(), users=("bob",), groups=("dune",)),
    "long run": Profile("long run", Template(max_runtime_seconds=7200), max_replicas=4),
}
POLICIES = st.builds(
    lambda worker, chosen, **fields: make_policy(
        default_template=Template(**worker), profiles={name: PROFILES[name] for name in chosen}, **fields
    ),
    worker=WORKERS,
    chosen=st.sets(st.sampled_from(sorted(PROFILES))),
    image_trees=st.sampled_from([("/cvmfs",), ("/cvmfs/", "/data/images"), ("/cvmfs", "/home"), ()]),
    allowed_images=st.sampled_from([(), (), ("/cvmfs/*",), ("/cvmfs/*", "docker://*")]),
    image_path_template=st.sampled_from([None, "/cvmfs/{registry}/{name}"]),
    allow_user_expressions=st.sampled_from([True, True, False]),
    max_runtime_seconds=st.sampled_from([None, None, 3600]),
    max_memory_per_user=st.sampled_from([None, None, 10**9, 2**31]),
    max_memory=st.sampled_from([None, None, 954 * 2**20]),
    max_cores_per_user=st.sampled_from([None, None, 1, 2]),
    max_cores=st.sampled_from([None, None, 2]),
    max_gpus_per_user=st.sampled_from([None, None, 0, 1]),
    max_gpus=st.sampled_from([None, None, 1]),
)
OWN = st.builds(
    lambda fields, more: Template(**fields, **more),
    WORKERS,
    st.one_of(
        st.just({}),
        maybe(
            profile=st.sampled_from(["gpu", "GPU", "long run", "ours", "theirs", "unknown"]),
            requirements=st.just("HasAVX2"),
            rank=st.just("Memory"),
        ),
    ),
)
CONFIGS = maybe(
    worker_cores=st.integers(1, 4),
    worker_memory=st.sampled_from([2**30, 2**31, 2**34]),
    image=st.sampled_from(["org/image", "daskgateway/dask-gateway:latest"]),
)


def test_nothing_is_refused_that_the_operator_would_take() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(template=OWN, policy=POLICIES, config=CONFIGS)
    def hold(template: Template, policy: Policy, config: dict[str, Any]) -> None:
        wrong = complaint(template, told(policy))
        taken = operator_takes(template, policy, config)
        seen["taken" if taken else "not taken" if wrong is None else wrong.partition(":")[0]] += 1
        assert not (taken and wrong), wrong

    hold()
    # Each kind of refusal was met, and refusing nothing would not pass either.
    assert seen["taken"] > 50
    assert seen["not taken"] < sum(seen.values()) / 3
    keywords = ("profile", "container_image", "max_runtime", "node_match_expr")
    for keyword in (*keywords, "worker_cores", "worker_memory", "worker_gpus"):
        assert seen[keyword] > 0, keyword


SITE = make_policy(
    default_template=Template(container_image=IMAGE),
    profiles={
        "Small GPU": Profile("Small GPU", Template(gpus=1)),
        "Large memory": Profile("Large memory", Template(memory="64Gi")),
        "Huge": Profile("Huge", Template(memory="65Gi")),
        "dune": Profile("dune", Template(), users=("bob",)),
    },
    max_memory_per_user=2**36,
    max_gpus=2,
    max_runtime_seconds=3600,
    allowed_images=("/cvmfs/*", "docker://*", "/home/*"),
    allow_user_expressions=False,
)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (
            Template(profile="small gpu"),
            "profile: this site has no profile 'small gpu'. Did you mean 'Small GPU'? "
            "Yours are: Huge, Large memory, Small GPU",
        ),
        (
            Template(profile="xyz"),
            "profile: this site has no profile 'xyz'. Yours are: Huge, Large memory, Small GPU",
        ),
        (
            Template(profile="dune"),
            "profile: the site's profile 'dune' is not for you. Yours are: Huge, Large memory, Small GPU",
        ),
        (
            Template(memory="65Gi"),
            "worker_memory: a worker of 65 GiB can never run: all workers of one user together may have "
            "64 GiB at this site",
        ),
        (
            Template(gpus=3, profile="Small GPU"),
            "worker_gpus: a worker of 3 can never run: all workers of all users together may have 2 at this "
            "site",
        ),
        (
            Template(container_image="/home/x"),
            "container_image: /home/x would be a folder of the execute node. Unpacked images may be below "
            "/cvmfs; a .sif file may be anywhere but in a job's scratch, and docker:// and "
            "oras:// URLs are fine",
        ),
        (
            Template(container_image="oras://x"),
            "container_image: the site does not allow oras://x; it allows /cvmfs/*, docker://*, /home/*",
        ),
        (
            Template(max_runtime_seconds=3601),
            "max_runtime: a worker may run for 3600 s at this site, and 3601 s are asked for: ask for less, "
            "or leave it out; workers that end are replaced",
        ),
        (
            Template(rank="Memory"),
            "node_match_expr: this site does not allow requirements and rank: name a profile instead",
        ),
        (
            Template(profile="Huge"),
            "worker_memory: a worker of 65 GiB can never run: all workers of one user together may have "
            "64 GiB at this site",
        ),
        (Template(profile="Huge", memory="1Gi"), None),
        (Template(profile="Large memory"), None),
        (Template(), None),
    ],
)
def test_the_words_name_the_keyword_and_what_there_is(template: Template, words: str | None) -> None:
    assert complaint(template, told(SITE)) == words


def test_a_site_without_profiles_for_you_says_to_leave_it_out() -> None:
    policy = make_policy(default_template=Template(container_image=IMAGE))
    assert complaint(Template(profile="gpu"), told(policy)) == (
        "profile: this site has no profile 'gpu'. There is none for you: leave it out"
    )
