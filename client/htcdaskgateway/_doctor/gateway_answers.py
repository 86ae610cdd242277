"""What the gateway says: that it is one, who we are, and whether HTCondor workers can come."""

from collections import Counter
from typing import Any

import aiohttp

from htcdask_api import names
from htcdaskgateway._auth import without_credentials
from htcdaskgateway._doctor.case import Case, Fault, NotTried
from htcdaskgateway._doctor.http import Answer, ask, fault, told

_VERSIONS = (1,)  # of our routes, which this client speaks
# Of the extension's sentences why nobody says what the site offers, those that mean that nobody is there.
# The others (Kubernetes did not answer, say) leave it open.
_NOBODY = ("none is at work", "has not started yet")


async def gateway(case: Case) -> str:
    """What answers is a dask-gateway. No credential is sent for that."""
    address = without_credentials(case.gateway.address)
    remedy = (
        "use the address that your site gives for HTCGateway(address=...): /api/version is below it, "
        "and http:// is not https://"
    )
    try:
        answer = await ask(case, "/api/version", login=False)
    except aiohttp.ClientError as error:
        said = case.masked(f"{type(error).__name__}: {error}")
        raise Fault(f"what answers at {address} is no dask-gateway: {said}", remedy) from error
    if 300 <= answer.status < 400:
        raise Fault(
            f"{address} sends everybody on to {answer.location}", f"if that is your gateway's, {remedy}"
        )
    if answer.status in (502, 503, 504):
        raise Fault(
            f"what stands before the gateway at {address} does not reach it (HTTP status {answer.status})",
            "the API server is down or starting: try again in a minute, then tell the site's admin",
        )
    said = answer.json()
    version = said.get("version") if isinstance(said, dict) else None
    if answer.status != 200 or not isinstance(version, str):
        kind = "something that is no JSON" if said is None else "JSON without a version"
        again = "; if it worked a moment ago, the gateway is being restarted: try again in a minute"
        raise Fault(
            f"what answers at {address} is no dask-gateway: "
            f"/api/version is {kind} (HTTP status {answer.status})",
            f"{remedy}{again if answer.status == 404 else ''}",
        )
    return f"dask-gateway {answer.masked(version)} answers at {address}"


async def login(case: Case) -> str:
    """The credential is accepted; remembers the user's clusters."""
    auth = case.gateway.auth
    who = f"user {auth.username!r}" if hasattr(auth, "username") else "you"
    by = type(auth).__name__
    answer = await ask(case, "/api/v1/clusters/?status=PENDING,RUNNING,STOPPING,STOPPED,FAILED")
    if answer.status == 401:
        raise Fault(
            f"the gateway does not accept the password or token of {who} ({by})",
            "correct auth=BasicAuth(username, password), or gateway.auth in dask's configuration; "
            "a JupyterHub's token ends with its server: restart that",
        )
    if answer.status == 403:
        raise Fault(f"the gateway does not let {who} in ({by})", "ask the site's admin for the right")
    clusters = answer.json()
    if answer.status != 200 or not _are_clusters(clusters):
        raise fault(answer, "the list of your clusters")
    case.clusters = clusters
    running = sum(cluster["status"] == "RUNNING" for cluster in clusters.values())
    return f"logged in as {who} ({by}); running clusters: {running}"


def _are_clusters(clusters: Any) -> bool:
    return isinstance(clusters, dict) and all(
        isinstance(cluster, dict) and isinstance(cluster.get("status"), str) for cluster in clusters.values()
    )


async def extension(case: Case) -> str:
    """HTCDask's extension runs in the API server, in a version that this client speaks."""
    answer = await ask(case, "/api/v1/htcondor")
    if answer.status == 404:
        raise Fault(
            "this dask-gateway has no HTCDask extension: its clusters cannot have HTCondor workers",
            "its admin has to install the chart htcdask, and to upgrade the gateway's release with "
            "`--values gateway-values.yaml` from that chart; in an umbrella chart, such as daskhub, nested "
            "under dask-gateway; a gateway.extraConfig of the site's own must be a map (docs/gateway.md)",
        )
    said = answer.json()
    if answer.status != 200 or not isinstance(said, dict):
        raise fault(answer, "the question for the extension")
    if said.get("version") not in _VERSIONS:
        raise Fault(
            f"the extension speaks version {answer.masked(said.get('version'))}, this client {_VERSIONS[0]}",
            "install the htcdask of the site's version here, or have the site upgraded",
        )
    case.extension = said
    default = answer.masked(said.get("defaultWorkerBackend"))
    later = said.get("laterEntries")  # of an older extension nothing
    hint = ""
    if isinstance(later, list) and later:
        entries = case.masked(", ".join(map(str, later)))
        hint = f"; {entries} of its extraConfig run after zz-htcdask, which does not find what they set"
    return f"version {said['version']}; who does not choose gets {default} workers{hint}"


async def operator(case: Case) -> str:
    """An operator is at work, by what the extension has said. Without one, no worker comes."""
    if "offer" not in case.extension:
        raise NotTried("the gateway's extension is older than this, and does not say")
    if case.extension["offer"] is not None:
        return "one is at work, and says what this site offers"
    why = case.masked(str(case.extension.get("why"))).rstrip(".")
    if not any(words in why for words in _NOBODY):
        raise NotTried(f"it is not known: {why}")
    raise Fault(
        f"clusters get no HTCondor workers: {why}",
        "the site's admin has to look at the operator's Deployment (is it scaled to 0? does it restart? its "
        "log says why); if it has just been started or upgraded, try again in a minute",
    )


async def options(case: Case) -> str:
    """Ours is among the gateway's options, once, and beside the site's own.

    An extraConfig that is one text, and no map, is replaced by ours without a word. From outside that can
    only be seen as options that are not there.
    """
    answer = await ask(case, "/api/v1/options")
    fields = _fields(answer)
    if fields is None:
        if answer.status == 500:
            raise Fault(
                f"the gateway cannot say its cluster options ({told(answer)})",
                "the site's own code for c.Backend.cluster_options fails: its API server's log says where",
            )
        raise fault(answer, "the question for the cluster options")
    ours = Counter(fields)[names.WORKER_BACKEND_OPTION]
    if ours != 1:
        how = "hidden by the site's own extraConfig" if not ours else "also an option of the site's own"
        raise Fault(
            f"the cluster option {names.WORKER_BACKEND_OPTION!r} is {how}",
            "the site's extraConfig must not set c.DaskGateway.backend_class after the entry zz-htcdask, "
            f"nor offer an option called {names.WORKER_BACKEND_OPTION!r} (docs/gateway.md)",
        )
    others = [field for field in fields if field != names.WORKER_BACKEND_OPTION]
    if not others:
        return (
            f"{names.WORKER_BACKEND_OPTION} alone; if your site used to offer others, its extraConfig was "
            "one text, which has been replaced: it must be a map"
        )
    return f"{names.WORKER_BACKEND_OPTION}, beside the site's own: {answer.masked(', '.join(others))}"


def _fields(answer: Answer) -> list[str] | None:
    said = answer.json()
    offered = said.get("cluster_options") if isinstance(said, dict) else None
    if answer.status != 200 or not isinstance(offered, list):
        return None
    if not all(isinstance(option, dict) and isinstance(option.get("field"), str) for option in offered):
        return None
    return [option["field"] for option in offered]
