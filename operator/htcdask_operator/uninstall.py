"""The chart's pre-delete hook: `python -m htcdask_operator.uninstall --namespace gateway --seconds 120`.

Deletes the pools while the operator, which still runs, can end their jobs. Pools that are left after that
are released, so that none stays Terminating for ever, and the command that ends their jobs is printed. Pools
of a namespace that another release works for stay as they are. Then
the operator has to stop, and what it took on meanwhile is released too. No settings are read: a release
whose settings are wrong must go as well. What the API server refuses is asked again until the time is up.
The exit status is 0 when every pool is gone or released, and only then.

The chart's Job ends at once on EXPLAINED, which would come again, and tries anew after anything else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from htcdask_api import names
from htcdask_operator.kube.draining import Pools, Progress
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.requests import Requests
from htcdask_operator.kube.spared import SparedPools
from htcdask_operator.kube.stand_down import Claim, LeaseHolder, Operator

RELEASE_SECONDS: Final = 45.0
"""How long it may take to release pools, after the jobs had their time."""

CLAIM_SECONDS: Final = 12.0
"""How long the stopped operator may take to give the claims of its namespaces back."""

EXPLAINED: Final = 3
"""The exit status when pools are left, and what was said tells why."""

_TERMINATED: Final = 128 + signal.SIGTERM
_PAUSE: Final = 1.0
_STEP_SECONDS: Final = 15.0
_UNTIL_SAID_AGAIN: Final = 10.0
_DEADLINE: Final = 5.0
_UIDS_A_LINE: Final = 50  # the shell's and HTCondor's limits are far away


async def drain(
    namespaces: Mapping[str, Pools],
    seconds: float,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> list[Progress]:
    """End all pools of all namespaces, which share the `seconds`; what became of each namespace."""
    began, said, said_at = clock(), "", 0.0
    every = [Progress(namespace, pools) for namespace, pools in namespaces.items()]
    while True:
        releasing = clock() - began >= seconds
        for progress in every:
            if not progress.done:
                await _step(progress, releasing, clock())
        if all(progress.done for progress in every) or clock() - began >= seconds + RELEASE_SECONDS:
            return every
        text = "; ".join(progress.text for progress in every if not progress.done)
        if text != said or clock() - said_at >= _UNTIL_SAID_AGAIN:
            say(f"{clock() - began:3.0f} s: {text}")
            said, said_at = text, clock()
        await pause(_PAUSE)


async def finish(
    namespaces: Mapping[str, Pools],
    operator: Operator,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    claims: Mapping[str, Claim] | None = None,
) -> list[Progress]:
    """Stop the operator, whose pools have ended; what became of pools that were made meanwhile."""
    try:
        await pause(await operator.stand_down(time.time()))
        late = await drain(namespaces, 0, say, clock, pause)
        await _free(claims or {}, operator, say, clock, pause)
        return late
    except KubeError as error:
        say(f"The operator cannot be told to stop, and may take on a pool that is made now: {error}")
        return []
    finally:
        with contextlib.suppress(KubeError):
            await operator.stand_down(time.time())  # once more: its time begins now


async def _free(
    claims: Mapping[str, Claim],
    operator: Operator,
    say: Callable[[str], None],
    clock: Callable[[], float],
    pause: Callable[[float], Awaitable[None]],
) -> None:
    """See the claims free, so that the next release works at once, or say how long it will wait."""
    began, left = clock(), dict.fromkeys(claims, 0.0)
    while True:
        for namespace in left:
            try:
                left[namespace] = await claims[namespace].free()
            except KubeError:
                left[namespace] = 1.0  # somebody has just written it, or nobody answers: look again
        left = {namespace: seconds for namespace, seconds in left.items() if seconds > 0}
        if not left or clock() - began >= CLAIM_SECONDS:
            break
        with contextlib.suppress(KubeError):
            await operator.stand_down(time.time())  # it goes on waiting, and takes nothing
        await pause(_PAUSE)
    for namespace, seconds in left.items():
        say(
            f"The operator has not given the Lease {names.CLAIM} in {namespace} back: a release that is "
            f"installed now waits for it, {seconds:.0f} s at most"
        )


async def _step(progress: Progress, releasing: bool, now: float) -> None:
    try:
        async with asyncio.timeout(_STEP_SECONDS):
            await progress.step(releasing, now)
    except TimeoutError:
        progress.trouble = f"the API server does little in {_STEP_SECONDS:.0f} s"


def report(every: Sequence[Progress], access_point: str) -> str:
    """What a person has to know, and may have to do, at the end."""
    lines = [progress.text for progress in every]
    released = {uid: pool for progress in every for uid, pool in progress.released.items()}
    if released:
        lines += [
            f"The jobs of {len(released)} pools were not seen to end: {_some(list(released.values()))}.",
            f"End them on the access point {access_point}:",
        ]
        uids = list(released)
        for first in range(0, len(uids), _UIDS_A_LINE):
            quoted = ", ".join(f'"{uid}"' for uid in uids[first : first + _UIDS_A_LINE])
            lines.append(f"  condor_rm -constraint 'member({names.AD_POOL_UID}, {{{quoted}}})'")
    if any(progress.missing for progress in every):
        lines += [
            f"To see whether jobs are left, on the access point {access_point}:",
            f"  condor_q -allusers -constraint '{names.AD_OPERATOR} =!= undefined'",
        ]
    if not all(progress.done for progress in every):
        lines.append(
            "Not all pools are gone. Mend what is said above and run `helm uninstall` again; with --no-hooks "
            "the release goes at once, and the pools stay until the next operator."
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Drain the namespaces; 0 once their pools are gone or released, so that Helm goes on."""
    parser = argparse.ArgumentParser(prog="htcdask-uninstall", description="Ends all pools of an operator.")
    parser.add_argument(
        "--namespace", action="append", required=True, help="where the pools are (repeatable)"
    )
    parser.add_argument(
        "--access-point", default="", help="the schedd's name, for the command that is printed"
    )
    parser.add_argument("--lease", required=True, help="namespace/name of the operator's Lease")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long jobs may take to end")
    parser.add_argument("--kubeconfig", type=Path, help="outside a pod")
    options = parser.parse_args(arguments)
    try:
        return asyncio.run(_run(options))
    except config.ConfigException as error:
        _say(f"No way to the API server: {error}. The pod needs its service account's token.")
        return EXPLAINED
    except asyncio.CancelledError:
        _say("Ended from outside before the pools were. Run `helm uninstall` again.")
        return _TERMINATED


async def _run(options: argparse.Namespace) -> int:
    task = asyncio.current_task()
    assert task is not None
    # The first process of a container has no default for it, and would be waited for in vain.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    configuration = Configuration()
    if options.kubeconfig:
        await config.load_kube_config(str(options.kubeconfig), client_configuration=configuration)
    else:
        config.load_incluster_config(client_configuration=configuration)
    async with ApiClient(configuration) as client:
        requests = Requests(client, _DEADLINE)
        namespaces = {
            each: SparedPools(requests, each, options.lease, time.monotonic)
            for each in dict.fromkeys(options.namespace)
        }
        every = await drain(namespaces, options.seconds, _say)
        if all(progress.done for progress in every):
            late = await finish(namespaces, LeaseHolder(requests, options.lease), _say, claims=namespaces)
            every += [progress for progress in late if progress.seen or not progress.done]
    _say(report(every, options.access_point))
    for namespace, pools in namespaces.items():
        if pools.left_to:
            _say(f"The HTCDask release {pools.left_to} works for the namespace {namespace}: its pools stay.")
    return 0 if all(progress.done for progress in every) else EXPLAINED


def _some(pools: Sequence[str]) -> str:
    return ", ".join(pools[:5]) + (f" and {len(pools) - 5} more" if len(pools) > 5 else "")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
