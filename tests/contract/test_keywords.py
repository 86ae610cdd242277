"""Each keyword of both older clients and of ours, as the job in a real HTCondor's queue has it.

From what a notebook says, through the pool's manifest and the core's descriptions, to `condor_q`. What a
worker is told by its command line is in the bundle that the access point keeps for it. `address`,
`public_address`, `proxy_address` and `auth` are about the notebook's own way to the gateway: no job has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from htcdask_api import Template
from htcdask_operator.condor.worker.bundle import render
from htcdask_operator.core.policy import Profile
from htcdask_operator.core.submit import descriptions
from htcdask_operator.core.submit.template import resolve
from htcdaskgateway._config import ClientConfig
from htcdaskgateway._worker_pools.keywords import KEYWORDS
from htcdaskgateway._worker_pools.older import accepts_older_arguments
from htcdaskgateway._worker_pools.submission import Submission
from playground.condor.bare import BarePool
from tests.builders import make_cluster, make_policy, make_pool
from tests.contract.labs import RealLab

OPERATOR = "keywords"
OFFERED = {"worker_backend": "htcondor", "image": "none"}
UNPACKED = "/cvmfs/unpacked.cern.ch/registry.hub.docker.com"
FOLDER = f'"{UNPACKED}/org/site:1"'
MATCH = "rank = (isDaskNode == True)"
# A site whose Options field and defaults are NCSA's, and whose nodes ask for Fermilab's attribute.
POLICY = make_policy(
    operator_id=OPERATOR,
    image_path_template="/cvmfs/unpacked.cern.ch/{registry}/{name}",
    default_template=Template(container_image=f"{UNPACKED}/org/site:1", cores=4, memory="32Gi"),
    profiles={
        "dask node": Profile(
            "dask node", Template(cores=3), accounting_group="group_dask", attributes={"isDaskJob": True}
        )
    },
)


@dataclass(frozen=True)
class Case:
    """What a notebook says, and what is then in the job's ad and in the bundle of its worker."""

    said: Mapping[str, Any] = field(default_factory=dict)
    ad: Mapping[str, str] = field(default_factory=dict)
    positional: tuple[Any, ...] = ()
    bundle: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()  # of Requirements
    options: Mapping[str, Any] = field(default_factory=dict)  # cluster_options=


CASES = {
    "nothing: the site's size": Case(
        {}, {"RequestCpus": "4", "RequestMemory": "32768", "ContainerImage": FOLDER}, bundle=("--nthreads 1",)
    ),
    "container_image, NCSA's .sif file": Case(
        {"container_image": "/u/bengal1/condor/PublicHealth.sif"},
        {
            "ContainerImage": '"/u/bengal1/condor/PublicHealth.sif"',
            "WantContainer": "true",
            "TransferContainer": "false",
        },
        clauses=("TARGET.HasContainer", "TARGET.HasSIF"),
    ),
    "container_image, a folder": Case(
        {"container_image": "/cvmfs/x/y"},
        {"ContainerImage": '"/cvmfs/x/y"'},
        clauses=("TARGET.HasSandboxImage",),
    ),
    "container_image, of a registry": Case(
        {"container_image": "docker://org/x:1"},
        {"ContainerImage": '"docker://org/x:1"'},
        clauses=("TARGET.HasDockerURL",),
    ),
    "memory, cpus: NCSA's": Case(
        {"memory": "32GB", "cpus": 4},
        {"RequestMemory": "32768", "RequestCpus": "4"},
        clauses=("TARGET.Cpus >= RequestCpus", "TARGET.Memory >= RequestMemory"),
    ),
    "NCSA's positional arguments": Case(
        positional=("/u/x.sif", "16GB", 2),
        ad={"ContainerImage": '"/u/x.sif"', "RequestMemory": "16384", "RequestCpus": "2"},
    ),
    "image, as a cluster option": Case(
        {"image": "org/other:2"}, {"ContainerImage": f'"{UNPACKED}/org/other:2"'}
    ),
    "apptainer_image, Fermilab's": Case(
        {"apptainer_image": "coffeateam/coffea-dask:0.7"},
        {"ContainerImage": f'"{UNPACKED}/coffeateam/coffea-dask:0.7"'},
    ),
    "image_registry": Case(
        {"image_registry": "quay.example.org", "apptainer_image": "org/x:1"},
        {"ContainerImage": '"/cvmfs/unpacked.cern.ch/quay.example.org/org/x:1"'},
    ),
    "container_image before apptainer_image and image": Case(
        {"container_image": "/u/x.sif", "apptainer_image": "org/x:1", "image": "org/y:1"},
        {"ContainerImage": '"/u/x.sif"'},
    ),
    "Fermilab's positional arguments": Case(
        positional=("quay.example.org", "org/x:1", MATCH),
        ad={
            "ContainerImage": '"/cvmfs/unpacked.cern.ch/quay.example.org/org/x:1"',
            "HTCDaskUserRank": "(isDaskNode == true)",
        },
    ),
    "worker_cores, worker_memory: of the whole job": Case(
        {"worker_cores": 2, "worker_memory": 2.5}, {"RequestCpus": "2", "RequestMemory": "2560"}
    ),
    "cluster_options": Case(
        options={"worker_cores": 2, "worker_memory": 3.0, "image": "org/chosen:1"},
        ad={
            "RequestCpus": "2",
            "RequestMemory": "3072",
            "ContainerImage": f'"{UNPACKED}/org/chosen:1"',
        },
    ),
    "keywords before cluster_options": Case(
        {"worker_cores": 1}, {"RequestCpus": "1"}, options={"worker_cores": 2}
    ),
    "node_match_expr, a rank": Case(
        {"node_match_expr": MATCH},
        {"HTCDaskUserRank": "(isDaskNode == true)", "Rank": "(MY.HTCDaskUserRank)"},
    ),
    "node_match_expr, requirements": Case(
        {"node_match_expr": "requirements = HasAVX2 =?= True"},
        {"HTCDaskUserRequirements": "HasAVX2 =?= true"},
        clauses=("(MY.HTCDaskUserRequirements)",),
    ),
    "+isDaskJob, of a profile": Case(
        {"profile": "dask node"},
        {"isDaskJob": "true", "RequestCpus": "3", "AcctGroup": '"group_dask"', "AcctGroupUser": '"alice"'},
    ),
    "worker_disk": Case(
        {"worker_disk": 10}, {"RequestDisk": "10485760"}, clauses=("TARGET.Disk >= RequestDisk",)
    ),
    "worker_gpus": Case({"worker_gpus": 2}, {"RequestGPUs": "2"}, clauses=("TARGET.GPUs >= RequestGPUs",)),
    "max_runtime": Case(
        {"max_runtime": "1h"},
        {"AllowedExecuteDuration": "3600"},
        bundle=("htcdask_lifetime=3240",),
    ),
    "worker_threads": Case({"worker_threads": 2}, bundle=("--nthreads 2",)),
    "worker_nanny": Case({"worker_nanny": False}, bundle=("--no-nanny",)),
    "worker_resources": Case({"worker_resources": {"GPU": 1}}, bundle=("--resources GPU=1.0",)),
    "environment": Case({"environment": {"MODE": "fast lane"}}, bundle=("'MODE=fast lane'",)),
}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BarePool]:
    """Nothing starts here."""
    with BarePool(tmp_path_factory.mktemp("condor") / "pool", settings="START = false\n") as made:
        yield made


class Notebook:
    """The constructor of the older clients' classes, up to where a gateway would be asked."""

    @accepts_older_arguments
    def __init__(self, address: Any = None, **keywords: Any) -> None:
        assert address is None
        self.keywords = keywords


@pytest.mark.parametrize("name", CASES)
async def test_a_keyword_is_in_the_job(lab: RealLab, name: str) -> None:
    case = CASES[name]
    said = Notebook(*case.positional, **case.said).keywords
    submission = Submission.read(dict(case.options), said, OFFERED, ClientConfig.read())
    sent = {**case.options, **submission.options_for(OFFERED, "gateway")}
    facts = make_pool(template=Template.model_validate(submission.template.manifest()))
    cluster = make_cluster(config={"image": sent["image"]} if "image" in sent else {})
    worker = resolve(facts, cluster, POLICY)
    condor, now = lab.operator(OPERATOR), lab.now()
    bundle = render(descriptions.bundle(cluster, worker, POLICY), "CERTIFICATE", "KEY")
    anchor = await condor.submit_anchor(
        descriptions.anchor(facts, cluster, worker, "hash", POLICY, now), bundle
    )
    jobs = await lab.until(condor, lambda jobs: any(job.stage_in_finish for job in jobs))
    iwd = next(job.iwd for job in jobs if job.id == anchor) or ""
    described = descriptions.workers(facts, cluster, worker, "hash", iwd, POLICY, now)
    (job,) = await condor.submit_workers(described, ["w1"])

    def raw(attribute: str) -> str:
        return lab.pool.run("condor_q", "-allusers", job, "-af:r", attribute).strip()

    assert {attribute: raw(attribute) for attribute in case.ad} == case.ad
    assert set(case.clauses) <= set(raw("Requirements").split(" && "))
    spooled = (lab.pool.path(iwd) / "bundle.sh").read_text()
    assert [words for words in case.bundle if words not in spooled] == []


def test_no_keyword_of_a_client_is_missing_here() -> None:
    seen = {keyword for case in CASES.values() for keyword in case.said}
    assert seen == KEYWORDS
