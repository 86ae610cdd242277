"""What hypothesis draws histories from: the only source of chance."""

from __future__ import annotations

from hypothesis import strategies as st

from htcdask_operator.core.model import Role
from tests.simulation.line import CALLS, SYSTEM, Kind, System
from tests.simulation.steps import (
    Adapt,
    Again,
    Ahead,
    Back,
    EditPool,
    EndCluster,
    EndNamespace,
    Forge,
    Kill,
    Limits,
    LoseWatch,
    Meanwhile,
    NewCluster,
    NewPool,
    Outage,
    Restart,
    Scale,
    Site,
    Step,
    ToJob,
    TouchPool,
    Wait,
    Work,
)
from tests.simulation.world import USERS

COUNTS = st.integers(0, 5)
CLUSTERS = st.sampled_from(["one", "one", "one", "one", "two", "bobs"])  # the first one is there already
POOLS = st.sampled_from(["default", "default", "manual", "second"])
PICKS = st.integers(0, 9)

NOTEBOOKS = st.one_of(
    st.builds(Scale, CLUSTERS, COUNTS),
    st.builds(Scale, CLUSTERS, COUNTS),
    st.builds(Adapt, CLUSTERS, COUNTS, COUNTS, COUNTS),
    st.builds(Work, CLUSTERS, COUNTS),
    st.builds(NewCluster, st.sampled_from(["two", "bobs", "one"])),
    st.builds(EndCluster, CLUSTERS, st.sampled_from(["Stopped", "Failed", "deleted"])),
    st.builds(Again, CLUSTERS),
    st.builds(Forge, CLUSTERS, st.sampled_from([-3, "x", 1.5, 10**12, None, True])),
)
PEOPLE = st.one_of(
    st.builds(NewPool, CLUSTERS, POOLS, COUNTS, st.booleans()),
    st.builds(NewPool, CLUSTERS, POOLS, st.none(), st.booleans()),
    st.builds(EditPool, CLUSTERS, POOLS, st.just("replicas"), COUNTS),
    st.builds(EditPool, CLUSTERS, POOLS, st.just("maxReplicas"), COUNTS),
    st.builds(
        TouchPool,
        CLUSTERS,
        POOLS,
        st.sampled_from(
            [
                "deleted",
                "deleted",
                "robbed of its status",
                "stripped of its finalizers",
                "deleted and stripped of its finalizers",
                "released by its annotation",
            ]
        ),
    ),
)
HOLDS = st.sampled_from([0, 1, 3, 6, 12, 13, 15, 21, 34, 46, 99])
VACATES = st.sampled_from([45, 1001, 1002, 1004, 1008, 1022, 1023, 1026, 4711])
WORKERS = st.one_of(
    st.builds(ToJob, PICKS, st.just("loses its slot"), VACATES),
    st.builds(ToJob, PICKS, st.just("ends with exit code"), st.sampled_from([0, 1, 3])),
    st.builds(ToJob, PICKS, st.just("is killed by signal"), st.sampled_from([9, 11])),
    st.builds(ToJob, PICKS, st.just("is held"), HOLDS),
    st.builds(ToJob, PICKS, st.just("is released by a person"), role=st.sampled_from(Role)),
    st.builds(ToJob, PICKS, st.just("is removed by a person"), role=st.sampled_from(Role)),
)
SWITCHES = ["the image", "the network of the workers", "the way of the heartbeats", "the pool of slots"]
SITE = st.one_of(
    st.builds(Site, st.sampled_from(SWITCHES), st.booleans()),
    st.builds(Restart, st.sampled_from(["schedd", *USERS])),
    st.builds(
        Limits,
        st.integers(1, 8),
        st.one_of(st.none(), st.integers(1, 8)),
        st.one_of(st.none(), st.integers(1, 8)),
    ),
    st.builds(EndNamespace),
)
QUESTIONS = ("jobs", "jobs_of", "workers", "cluster", "pools")
DEEDS = ("submit_workers", "submit_anchor", "remove", "hold", "publish", "adopt", "scale", "create_pool")
LINES = st.one_of(
    st.builds(
        Ahead,
        st.sampled_from(DEEDS),
        st.sampled_from([kind for kind in Kind if kind is not Kind.LATE]),
        st.sampled_from([403, 404, 409, 429, 500]),
        st.integers(0, 1),
    ),
    st.builds(
        Ahead,
        st.sampled_from(sorted(SYSTEM)),
        st.sampled_from([kind for kind in Kind if kind is not Kind.CRASH_INSIDE]),
        st.sampled_from([403, 429, 500]),
        st.integers(0, 2),
    ),
    st.builds(Ahead, st.sampled_from(QUESTIONS), st.just(Kind.LATE), skip=st.integers(0, 1)),
    st.builds(Meanwhile, st.sampled_from(DEEDS + QUESTIONS), st.one_of(NOTEBOOKS, PEOPLE, WORKERS)),
    st.builds(Outage, st.sampled_from(System), st.booleans()),
    st.builds(Back, st.sampled_from(System)),
    st.builds(Kill, st.sampled_from([1, 30, 600])),
    st.builds(LoseWatch),
)
TIME = st.builds(Wait, st.sampled_from([5, 10, 20, 60]))

STEPS: st.SearchStrategy[Step] = st.one_of(NOTEBOOKS, NOTEBOOKS, PEOPLE, WORKERS, SITE, LINES, LINES, TIME)
# Three lists, because hypothesis makes one list about five long, whatever it may be.
_PART = st.lists(STEPS, max_size=10)
HISTORIES: st.SearchStrategy[list[Step]] = st.tuples(_PART, _PART, _PART).map(
    lambda parts: [step for part in parts for step in part]
)

assert set(DEEDS + QUESTIONS) <= {call for calls in CALLS.values() for call in calls}
