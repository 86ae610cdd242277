"""What hypothesis draws histories from: the only source of chance."""

from __future__ import annotations

from hypothesis import strategies as st

from htcdask_operator.core.model import Role
from tests.simulation.dask import NAMES, NOTHING, PAGE
from tests.simulation.line import CALLS, SYSTEM, Kind, System
from tests.simulation.steps import (
    DELETED,
    DELETED_AND_STRIPPED,
    RELEASED,
    STRIPPED,
    WIPED,
    Adapt,
    Again,
    EditPool,
    EndCluster,
    EndNamespace,
    Forge,
    NewCluster,
    NewPool,
    Scale,
    Step,
    TouchPool,
    Work,
)
from tests.simulation.trouble import (
    Ahead,
    Bad,
    FewerJobs,
    Kill,
    Limits,
    LoseWatch,
    Meanwhile,
    NewSettings,
    Offer,
    OtherClock,
    Outage,
    Restart,
    ToJob,
    Wait,
    Walltime,
)
from tests.simulation.world import (
    ANCHOR_REMOVER,
    ANCHOR_RULE,
    BAD_IMAGE,
    BAD_IMAGE_UNSAID,
    DEAD,
    EATER,
    EVICTOR,
    HIDDEN,
    HUNGRY,
    IMPATIENT,
    NAMELESS,
    NO_ANCHOR,
    NO_HEARTBEATS,
    NO_NETWORK,
    NO_PLAN,
    NO_SECRET,
    NO_SLOTS,
    QUITTER,
    REMOVER,
    STARVING,
    SUSPENDER,
    USERS,
)

COUNTS = st.integers(0, 5)
CLUSTERS = st.sampled_from(["one", "one", "one", "one", "two", "bobs"])  # the first one is there already
POOLS = st.sampled_from(["default", "default", "manual", "second"])
PICKS = st.integers(0, 9)

SCALES = st.builds(Scale, CLUSTERS, COUNTS)
WORK = st.builds(Work, CLUSTERS, st.integers(0, 6))
ENDS = st.one_of(
    st.builds(EndCluster, CLUSTERS, st.sampled_from(["Stopped", "Failed", "deleted"])),
    st.builds(Again, CLUSTERS, COUNTS),
)
# Nested choices are one flat choice to hypothesis: what is written twice happens twice as often.
NOTEBOOKS = st.one_of(
    SCALES,
    SCALES,
    st.builds(Scale, CLUSTERS, st.integers(3, 6)),
    st.builds(Scale, st.just("one"), st.integers(3, 6)),
    WORK,
    st.builds(Adapt, CLUSTERS, COUNTS, COUNTS, COUNTS),
    st.builds(NewCluster, st.sampled_from(["two", "bobs", "one"]), COUNTS),
    st.builds(Forge, CLUSTERS, st.sampled_from([-3, "x", 1.5, 10**12, None, True])),
)
DELETIONS = st.builds(TouchPool, CLUSTERS, POOLS, st.sampled_from([DELETED, DELETED_AND_STRIPPED]))
PEOPLE = st.one_of(
    st.builds(NewPool, CLUSTERS, POOLS, COUNTS, st.booleans()),
    st.builds(NewPool, st.just("one"), st.just("manual"), COUNTS, st.booleans()),
    st.builds(NewPool, CLUSTERS, POOLS, st.none(), st.booleans()),
    st.builds(EditPool, CLUSTERS, POOLS, st.just("replicas"), COUNTS),
    st.builds(EditPool, CLUSTERS, POOLS, st.just("maxReplicas"), COUNTS),
    st.builds(EditPool, st.just("one"), st.just("default"), st.just("maxReplicas"), COUNTS),
    st.builds(TouchPool, CLUSTERS, POOLS, st.sampled_from([STRIPPED, RELEASED, WIPED])),
    DELETIONS,
)
FOR_EVER = [
    REMOVER,
    ANCHOR_REMOVER,
    EVICTOR,
    IMPATIENT,
    QUITTER,
    SUSPENDER,
    BAD_IMAGE_UNSAID,
    HIDDEN,
    DEAD,
    EATER,
    HUNGRY,
    STARVING,
]
# A person's holds (1 and 15) are the ones that stay: more often than each of the others.
HOLDS = st.sampled_from([0, 1, 1, 15, 3, 6, 12, 13, 15, 21, 34, 46, 99])
VACATES = st.sampled_from([None, 45, 1001, 1002, 1004, 1008, 1022, 1023, 1026, 4711])
WORKERS = st.one_of(
    st.builds(ToJob, PICKS, st.just("loses its slot"), VACATES),
    st.builds(ToJob, PICKS, st.just("ends with exit code"), st.sampled_from([0, 1, 3])),
    st.builds(ToJob, PICKS, st.just("is killed by signal"), st.sampled_from([9, 11])),
    st.builds(ToJob, PICKS, st.just("is held"), HOLDS),
    st.builds(ToJob, PICKS, st.just("is released by a person"), role=st.sampled_from(Role)),
    st.builds(ToJob, PICKS, st.just("is removed by a person"), role=st.sampled_from(Role)),
    st.builds(ToJob, PICKS, st.sampled_from(["is suspended", "goes on"])),
)
FEWER_JOBS = st.builds(
    FewerJobs,
    st.one_of(st.none(), st.integers(1, 4)),
    st.one_of(st.none(), st.none(), st.integers(3, 12)),
)
SITE = st.one_of(
    st.builds(Restart, st.sampled_from(["schedd", *USERS])),
    st.builds(
        Limits,
        st.integers(1, 8),
        st.one_of(st.none(), st.integers(1, 8)),
        st.one_of(st.none(), st.integers(1, 8)),
    ),
    st.builds(NewSettings, st.sampled_from([10_000, 20_000])),
    FEWER_JOBS,
    st.one_of(WORK, SCALES, st.builds(EndNamespace)),
    st.builds(Walltime, st.sampled_from([300, 300, 600, None])),
    st.builds(Offer, CLUSTERS, st.sampled_from([NOTHING, NOTHING, NAMES, PAGE])),
    st.builds(OtherClock, st.sampled_from([-600, -85, 0, 2, 85, 600])),
)
QUESTIONS = ("jobs", "jobs_of", "workers", "cluster", "pools")
DEEDS = (
    *("submit_workers", "spool_workers", "remove", "submit_anchor", "hold", "scale"),
    *("publish", "adopt", "create_pool", "add_finalizer", "remove_finalizer"),
)
AHEAD = st.one_of(
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
)
OUTAGES = st.one_of(
    st.builds(Outage, st.sampled_from(System), st.booleans(), st.sampled_from([3, 20, 100])),
    st.builds(
        Bad, st.sampled_from([BAD_IMAGE, NO_SLOTS, NO_NETWORK, NO_HEARTBEATS]), st.sampled_from([5, 30, 120])
    ),
    st.builds(Bad, st.sampled_from([NO_SECRET, NO_ANCHOR, NO_PLAN, NAMELESS]), st.sampled_from([30, 400])),
    st.builds(Bad, st.sampled_from(FOR_EVER), st.sampled_from([5, 60, 400])),
)
LINES = st.one_of(
    OUTAGES,
    st.builds(Kill, st.sampled_from([1, 30, 600])),
    st.builds(LoseWatch),
)
TIME = st.builds(Wait, st.sampled_from([5, 10, 20, 60, 200]))

STEPS: st.SearchStrategy[Step] = st.one_of(
    NOTEBOOKS, NOTEBOOKS, PEOPLE, WORKERS, WORKERS, SITE, LINES, AHEAD, TIME, TIME, TIME, ENDS
)
# Trouble is of use only if something happens then.
TROUBLED = st.tuples(
    st.one_of(AHEAD, OUTAGES, WORK), st.one_of(NOTEBOOKS, PEOPLE, WORKERS, ENDS, ENDS, DELETIONS)
)
# What goes on and on is of use only if time passes.
FOR_LONG = st.tuples(
    st.builds(Bad, st.sampled_from(FOR_EVER), st.just(400)), st.builds(Wait, st.sampled_from([60, 200]))
)
# And walltimes: one is over within two long waits.
LIVES = st.tuples(st.builds(Walltime, st.just(300)), st.just(Wait(200)), st.just(Wait(60)))
# A rule is of use only if an anchor is needed then.
RULED = st.tuples(
    st.builds(Bad, st.just(ANCHOR_RULE), st.sampled_from([30, 400, 4000])),
    st.one_of(
        st.builds(NewSettings, st.sampled_from([10_000, 20_000])),
        st.builds(NewCluster, st.sampled_from(["two", "bobs"]), st.integers(1, 5)),
    ),
)
# One machine eats whoever is new, while others live; and workers that are of use, for a minute each.
MANY = st.builds(Scale, st.just("one"), st.integers(5, 6))
EATEN = st.tuples(st.just(Wait(60)), st.just(Bad(EATER, 400)), MANY, st.just(Wait(200)))
QUITTING = st.tuples(MANY, st.just(Bad(QUITTER, 400)), st.just(Wait(200)), st.just(Wait(200)))
# More workers are wanted than the access point takes at once.
LIMITED = st.tuples(FEWER_JOBS, MANY)
# Who waits for a slot, and is outdated meanwhile.
QUEUED = st.tuples(
    st.just(Bad(NO_SLOTS, 120)),
    MANY,
    st.builds(NewSettings, st.sampled_from([10_000, 20_000])),
    st.just(Wait(60)),
)
# A scheduler is told more than anybody asked for, and then nobody needs it, or somebody asks for just that.
TOLD = st.tuples(
    st.one_of(
        st.builds(Scale, st.just("one"), st.integers(0, 2)),
        st.integers(0, 2).map(lambda number: Adapt("one", number, number, number)),
    ),
    st.just(Wait(20)),
    st.builds(NewPool, st.just("one"), st.just("manual"), st.integers(3, 5)),
    st.just(Wait(60)),
    st.one_of(
        st.builds(Kill, st.sampled_from([1, 30])),
        st.builds(Scale, st.just("one"), st.integers(3, 5)),
        st.just(Wait(10)),
    ),
    st.one_of(
        st.just(TouchPool("one", "manual", DELETED)),
        st.builds(EditPool, st.just("one"), st.just("manual"), st.just("replicas"), st.integers(0, 1)),
    ),
)
# One choice, which hypothesis does not make flat: each of them takes long.
SLOWLY = st.sampled_from(
    [*[FOR_LONG, LIVES, RULED, RULED] * 2, QUEUED, QUEUED, LIMITED, EATEN, QUITTING, TOLD]
).flatmap(lambda steps: steps)
ALONE = st.tuples(STEPS)
# Two lists, because hypothesis makes one list about five long, whatever it may be.
_PART = st.lists(st.one_of(ALONE, ALONE, ALONE, TROUBLED, TROUBLED, SLOWLY), max_size=10)
STORMY = st.tuples(_PART, _PART).map(
    lambda parts: [step for part in parts for steps in part for step in steps]
)
# People alone, in each other's way: among so much trouble they seldom come to what they want.
FASTER = st.builds(Meanwhile, st.sampled_from(DEEDS + QUESTIONS), st.one_of(NOTEBOOKS, PEOPLE))
SITE_WALLTIME = st.builds(Walltime, st.sampled_from([300, 600]))
CALM = st.lists(
    st.one_of(NOTEBOOKS, WORK, WORK, PEOPLE, PEOPLE, FASTER, TIME, TIME, SITE_WALLTIME), max_size=10
)
HISTORIES: st.SearchStrategy[list[Step]] = st.one_of(STORMY, CALM)

assert set(DEEDS + QUESTIONS) <= {call for calls in CALLS.values() for call in calls}
