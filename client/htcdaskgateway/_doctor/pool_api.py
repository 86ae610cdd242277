"""Whether worker pools can be read and made where the configuration says that they are written."""

from typing import Any

from htcdaskgateway._config import ClientConfig
from htcdaskgateway._doctor.case import Case, Fault, NotTried
from htcdaskgateway._doctor.http import ask, fault, told
from htcdaskgateway._errors import HTCDaskError
from htcdaskgateway._worker_pools.gateway_route import pools_path
from htcdaskgateway._worker_pools.kubernetes_api import KubernetesPools


async def pools(case: Case) -> str:
    """The pool API answers, as far as it can be asked without making anything."""
    config = ClientConfig.read()
    return await (_by_kubernetes(case, config) if config.pool_api == "kubernetes" else _by_the_route(case))


async def _by_the_route(case: Case) -> str:
    mine = [case.cluster] if case.cluster else list(case.clusters)  # of one that has ended too
    if not mine:
        raise NotTried("you have no cluster whose pools could be asked for, and --probe makes one")
    answer = await ask(case, pools_path(mine[0]))
    said: Any = answer.json()
    if answer.status == 200 and isinstance(said, dict) and isinstance(said.get("pools"), list):
        return f"the gateway's route shows the pools of cluster {mine[0]}: {len(said['pools'])}"
    if answer.status == 500:
        raise Fault(
            f"the gateway may not read worker pools ({told(answer)})",
            "the chart htcdask must be installed with the right gateway.serviceAccountName (docs/gateway.md)",
        )
    raise fault(answer, f"the question for the pools of cluster {mine[0]}")


async def _by_kubernetes(case: Case, config: ClientConfig) -> str:
    found = [prefix for prefix, dot, _ in (name.partition(".") for name in case.clusters) if dot]
    namespace = found[0] if found else config.namespace
    if namespace is None:
        raise NotTried("no cluster tells the gateway's namespace, and htcdask.namespace is not configured")
    try:
        missing = await KubernetesPools(namespace).missing_rights(namespace)
    except HTCDaskError as error:
        raise Fault(str(error), "htcdask.pool-api: gateway needs nothing of Kubernetes") from error
    if missing:
        raise Fault(
            f"Kubernetes does not allow you in the namespace {namespace}: {', '.join(missing)}",
            "ask the site's admin for the role, or set htcdask.pool-api to gateway, which needs no right",
        )
    return f"the Kubernetes API allows worker pools in the namespace {namespace}"
