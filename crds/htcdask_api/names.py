"""Every name that two sides must agree on: the API group, labels, annotations, ClassAd attributes, options.

Imported by the client, the operator and the tests; the gateway extension and the CRD repeat the few that
they need, and a test holds them to these.
"""

from typing import Final

GROUP: Final = "htcdask.org"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "HTCWorkerPool"
PLURAL: Final = "htcworkerpools"
# What a pool's workers printed: an object of the pool's name.
LOG_KIND: Final = "HTCWorkerLog"
LOG_PLURAL: Final = "htcworkerlogs"

GATEWAY_GROUP: Final = "gateway.dask.org"
GATEWAY_VERSION: Final = "v1alpha1"
GATEWAY_API_VERSION: Final = f"{GATEWAY_GROUP}/{GATEWAY_VERSION}"
DASKCLUSTER_KIND: Final = "DaskCluster"
DASKCLUSTER_PLURAL: Final = "daskclusters"

FINALIZER: Final = f"{GROUP}/condor-jobs"
CLUSTER_LABEL: Final = f"{GROUP}/cluster"
# In a pool's status.selector: an autoscaler asks for one. No pod has it, as workers are no pods.
POOL_UID_LABEL: Final = f"{GROUP}/pool-uid"
# Set by hand on a pool that says CleanupBlocked: lets it go although its jobs could not be seen to end.
RELEASE_ANNOTATION: Final = f"{GROUP}/release-without-cleanup"

# On a DaskCluster whose first pool the gateway has made: whatever becomes of that, it gets no default one.
POOL_MADE_ANNOTATION: Final = f"{GROUP}/pool-made"

# The field beside spec.replicas of a DaskCluster into which the gateway extension writes how many
# HTCondor workers the scheduler asks for, and the cluster option that chooses it.
WANTED_FIELD: Final = "htcondorReplicas"
ASKED_FIELD: Final = "htcondorAsked"  # and what its user asked for last, by scale() or adapt()
WORKER_BACKEND_OPTION: Final = "worker_backend"
WORKER_BACKEND_HTCONDOR: Final = "htcondor"
WORKER_BACKEND_KUBERNETES: Final = "kubernetes"
# And the groups of who made the cluster, as they were then: at most so many, of so many characters.
GROUPS_FIELD: Final = "htcondorGroups"
MOST_GROUPS: Final = 256
LONGEST_GROUP: Final = 256

# ClassAd attributes of every job of ours (anchor and worker), written in the transaction that creates it.
AD_OPERATOR: Final = "HTCDaskOperator"  # `operator_identity`
AD_POOL_UID: Final = "HTCDaskPoolUID"
AD_POOL: Final = "HTCDaskPool"  # "namespace/name", for people who read condor_q
AD_CLUSTER_UID: Final = "HTCDaskClusterUID"
AD_USER: Final = "HTCDaskUser"  # who owns the Dask cluster, percent-encoded; for the limits per user
AD_WORKER: Final = "HTCDaskWorker"
AD_TEMPLATE: Final = "HTCDaskTemplate"
AD_ROLE: Final = "HTCDaskRole"
AD_LEASE: Final = "HTCDaskLease"
AD_PROFILE: Final = "HTCDaskProfile"  # of a worker and its anchor: for the profile's limit
AD_ANCHOR: Final = "HTCDaskAnchor"  # of a worker: the job that keeps its files
AD_LIFETIME: Final = "HTCDaskLifetime"  # seconds after which a worker retires by itself, but for the stagger
AD_SUCCEEDS: Final = "HTCDaskSucceeds"  # of a successor: the worker in whose place it comes
AD_CONNECTS_AT: Final = "HTCDaskConnectsAt"  # and when it does, in seconds since the epoch
# What people wrote stands in attributes of its own, as it was written: no bracket of ours to leave.
AD_PROFILE_REQUIREMENTS: Final = "HTCDaskProfileRequirements"
AD_USER_REQUIREMENTS: Final = "HTCDaskUserRequirements"
AD_PROFILE_RANK: Final = "HTCDaskProfileRank"
AD_USER_RANK: Final = "HTCDaskUserRank"

ROLE_ANCHOR: Final = "anchor"
ROLE_WORKER: Final = "worker"

# The Lease in each namespace with pools that keeps two releases apart, whatever they are called.
CLAIM: Final = "htcdask-worker-pools"
# The ConfigMap in each namespace with pools in which the operator says what its site offers.
OFFER: Final = "htcdask-offer"

DEFAULT_POOL: Final = "default"


def pool_name(pool: str, cluster: str) -> str:
    """The name of pool `pool` of the gateway's cluster `cluster`: `default-a29bba7c…`."""
    return f"{pool}-{cluster}"


def operator_identity(operator_id: str, kubernetes: str) -> str:
    """What the jobs of an operator carry as AD_OPERATOR: its id, and the uid of its Kubernetes cluster.

    Two clusters may have everything else in common: a staging site, or one restored from a backup.
    """
    return f"{operator_id}/{kubernetes}"


def scheduler_sni(namespace: str, cluster: str) -> str:
    """The TLS server name by which the gateway's proxy routes to a cluster's scheduler."""
    return f"daskgateway-{namespace}.{cluster}"
