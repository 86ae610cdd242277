"""The program: read the settings, connect the three ports, wait for the lease, run kopf and what serves it.

SIGTERM ends it in order: first what works, then the agent, then the lease is given back. Nothing in HTCondor
is cancelled then: the next operator finds all jobs by their attributes.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import kopf

from htcdask_api import names
from htcdask_operator import settings as site
from htcdask_operator.assemble import assemble
from htcdask_operator.condor.access_point import AccessPoint
from htcdask_operator.condor.client import CondorClient
from htcdask_operator.core.policy import Policy
from htcdask_operator.kube.api import KubeApi, connect
from htcdask_operator.ports import Ports
from htcdask_operator.process import garbage, health, offer
from htcdask_operator.process.claims import Claims, claims, holder
from htcdask_operator.process.health import Health
from htcdask_operator.process.supervise import supervise
from htcdask_operator.scheduler.http import SchedulerHttp
from htcdask_operator.settings import Settings, SettingsError
from htcdask_operator.uptime import steady, uptime
from htcdask_operator.watch import handlers

_log = logging.getLogger(__name__)

# Seconds without an answer, of those that each have a deadline: not how long a cycle or a poll takes in all.
_CYCLE_HANGS = 300.0
_POLLER_HANGS = 180.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until a signal; the exit status."""
    parser = argparse.ArgumentParser(
        prog="htcdask-operator",
        description="Keeps HTCondor workers for the dask-gateway clusters that have an HTCWorkerPool.",
    )
    parser.add_argument(
        "--settings",
        type=Path,
        default=site.default_path(),
        metavar="FILE",
        help=f"the site's settings, YAML (default: the environment variable {site.VARIABLE})",
    )
    parser.add_argument("--log-format", choices=("plain", "json"), default="plain")
    parser.add_argument("--verbose", action="store_true", help="log what kopf does, with whole objects")
    options = parser.parse_args(arguments)
    if options.settings is None:
        parser.error(f"name the settings file with --settings or {site.VARIABLE}")
    try:
        settings = site.load(options.settings)
    except SettingsError as error:
        print(f"htcdask-operator: {error}", file=sys.stderr)  # noqa: T201
        return 2
    log_format = kopf.LogFormat.JSON if options.log_format == "json" else kopf.LogFormat.FULL
    kopf.configure(verbose=options.verbose, log_format=log_format)
    if not options.verbose:
        handlers.quieten()
    return 0 if asyncio.run(operate(settings)) else 1


async def operate(settings: Settings) -> bool:
    """Run until SIGTERM or SIGINT; whether it ended as asked."""
    instance = os.environ.get("POD_NAME") or socket.gethostname()
    kube = await connect(instance)
    try:
        uid = await _kubernetes(kube, settings.health_port)
        return uid is None or await _operate(settings, kube, instance, uid)
    finally:
        await kube.close()


async def _kubernetes(kube: KubeApi, health_port: int) -> str | None:
    """Which Kubernetes cluster this is; None when a signal came first."""
    stop = asyncio.Event()
    _end_on_signal(stop)
    words = "waiting to learn which Kubernetes cluster this is"
    asking, stopping, serving = (
        asyncio.create_task(kube.wait_for_cluster_uid()),
        asyncio.create_task(stop.wait()),
        asyncio.create_task(health.serve(health_port, lambda: Health(True, words))),
    )
    try:
        await asyncio.wait({asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return asking.result() if asking.done() else None
    finally:
        for task in (asking, stopping, serving):
            task.cancel()
        await asyncio.gather(asking, stopping, serving, return_exceptions=True)


async def _operate(settings: Settings, kube: KubeApi, instance: str, kubernetes: str) -> bool:
    identity = names.operator_identity(settings.operator_id, kubernetes)
    clock = steady(time.time, uptime)
    leases = claims(kube, settings.leader, settings.gateway_namespaces, instance, uptime, time.time)
    condor = CondorClient(
        AccessPoint(
            operator_id=identity,
            collector=settings.access_point.collector,
            schedd=settings.access_point.schedd,
            token_file=settings.token_file,
            namespaces=settings.gateway_namespaces,
        ),
        leases.valid_until,
        clock,
    )
    policy = replace(settings.policy, operator_id=identity)
    scheduler = SchedulerHttp()
    try:
        return await _run(settings, policy, Ports(condor, kube, scheduler), kube, leases, instance, clock)
    finally:
        scheduler.close()
        await condor.close()
        await leases.release()


async def _run(
    settings: Settings,
    policy: Policy,
    ports: Ports,
    kube: KubeApi,
    leases: Claims,
    instance: str,
    clock: Callable[[], float],
) -> bool:
    parts = assemble(
        ports,
        policy,
        settings.gateway_namespaces,
        clock,
        lease=(settings.leader.namespace, settings.leader.name),
        intervals=settings.poll_intervals,
        last_seen=lambda: leases.last_seen,
    )
    poller, reconciler = parts.poller, parts.reconciler
    me = holder(settings.leader, instance)
    stop, ready = asyncio.Event(), asyncio.Event()

    def health_now() -> Health:
        if leases.waiting is not None:
            return Health(True, leases.waiting)
        if poller.progress.standstill() > _POLLER_HANGS:
            return Health(False, f"the poller has got nowhere for {poller.progress.standstill():.0f} s")
        if reconciler.standstill() > _CYCLE_HANGS:
            return Health(False, f"a cycle has got nowhere for {reconciler.standstill():.0f} s")
        return Health(True, "ok")

    async def leading(work: Callable[[], Awaitable[None]]) -> None:
        await leases.held.wait()
        await work()

    async def watch() -> None:
        await kube.wait_for_resources()
        await kopf.operator(
            registry=parts.registry,
            settings=handlers.settings(instance),
            namespaces=settings.gateway_namespaces,
            standalone=True,
            ready_flag=ready,
        )

    async def compare() -> None:
        await ready.wait()
        await parts.resync.run()

    async def signals() -> None:
        _end_on_signal(stop)
        await ready.wait()
        _end_on_signal(stop)  # kopf has put its own handlers there meanwhile
        _log.info("Watching the pools in %s", ", ".join(settings.gateway_namespaces))
        await asyncio.Event().wait()

    # kopf comes last: at its end it waits for every task that is younger than itself.
    services = {
        "health server": health.serve(settings.health_port, health_now, lambda: leases.rival),
        "signals": signals(),
        "lease": leases.run(),
        "garbage": leading(garbage.run),
        "poller": leading(poller.run),
        "reconciler": leading(parts.reconcile),
        "resync": leading(compare),
        "announcer": leading(parts.announcer.run),
        "offer": leading(lambda: offer.publish(kube, settings.gateway_namespaces, policy, me)),
        "kopf": leading(watch),
    }
    return await supervise(services, stop)


def _end_on_signal(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


if __name__ == "__main__":
    sys.exit(main())
