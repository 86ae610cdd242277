"""`python -m htcdaskgateway doctor`: the same by command line, for terminals, notebooks' shells and CI."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

from dask_gateway import Gateway

from htcdaskgateway._doctor.case import Case
from htcdaskgateway._doctor.examination import SHUTDOWN, examine
from htcdaskgateway._doctor.method import DEFAULT_SECONDS, SHUTTING_DOWN, read_seconds
from htcdaskgateway._doctor.report import Finding, Report

_GOOD, _BAD, _INTERRUPTED = 0, 1, 130
# Whoever interrupts, politely ends the process or closes its terminal leaves no cluster behind.
_INTERRUPTING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DESCRIPTION = """\
Find out what stands between this machine and HTCondor workers. One line a check: ok, fails (with =>, what to
do), or not tried (because of what). Address and credential are those of HTCGateway(): dask's configuration,
or variables such as DASK_GATEWAY__ADDRESS and DASK_GATEWAY__AUTH__KWARGS__PASSWORD."""
_EPILOG = "Exit status: 0 if nothing fails, 1 if something does, 2 for wrong usage, 130 when interrupted."


def main(make_gateway: Callable[..., Gateway], arguments: Sequence[str] | None = None) -> int:
    """Run the command; `make_gateway` is the gateway's class. Returns the exit status."""
    options = _parser().parse_args(arguments)
    if not options.probe and (options.container_image or options.profile):
        _parser().error("--container-image and --profile are for a probe cluster: add --probe")
    chosen = {"container_image": options.container_image, "profile": options.profile}
    case = Case(
        partial(make_gateway, options.address, proxy_address=options.proxy_address, asynchronous=True),
        probe=options.probe,
        worker_seconds=options.timeout,
        cluster_options={name: value for name, value in chosen.items() if value is not None},
    )
    try:
        report = asyncio.run(_examine(case, _say_what_is_left if options.json else _say))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("interrupted: what is not listed was not tried\n")
        return _INTERRUPTED
    if options.json:
        sys.stdout.write(json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n")
    return _GOOD if report.good else _BAD


async def _examine(case: Case, tell: Callable[[Finding], None]) -> Report:
    this: asyncio.Task[Any] | None = asyncio.current_task()
    assert this is not None
    loop = asyncio.get_running_loop()
    interrupted = False

    def interrupt() -> None:
        """Once: who presses Ctrl-C twice does not interrupt the shutdown of the probe cluster."""
        nonlocal interrupted
        if not interrupted:
            this.cancel()
        elif case.submitting is not None:
            sys.stderr.write(SHUTTING_DOWN)
        interrupted = True

    def hear(*_: object) -> None:
        loop.call_soon_threadsafe(interrupt)

    # Not the loop's own handlers: they end with the loop, and a second Ctrl-C may come after it.
    before = {number: signal.signal(number, hear) for number in _INTERRUPTING}
    try:
        return await examine(case, tell)
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if interrupted else handler)


def _say(finding: Finding) -> None:
    sys.stdout.write(f"{finding}\n")
    sys.stdout.flush()


def _say_what_is_left(finding: Finding) -> None:
    """JSON comes at the end, or never: of a cluster that may live on people hear at once."""
    if finding.state == "fails" and finding.check == SHUTDOWN.name:
        sys.stderr.write(f"{finding}\n")


def _time(text: str) -> float:
    try:
        return read_seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m htcdaskgateway", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"htcdask {version('htcdask')}")
    commands = parser.add_subparsers(metavar="{doctor}", required=True)
    doctor = commands.add_parser(
        "doctor",
        help="find out what stands between this machine and HTCondor workers",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    doctor.add_argument("--address", metavar="URL", help="the gateway's address, if not the configured one")
    doctor.add_argument(
        "--proxy-address",
        metavar="ADDRESS",
        type=_place,
        help="of the proxy for schedulers, likewise; or its port",
    )
    doctor.add_argument("--json", action="store_true", help="print JSON instead of lines")
    doctor.add_argument(
        "--probe",
        action="store_true",
        help="make a cluster with one worker, see whether the worker reaches it, and shut it down again",
    )
    doctor.add_argument(
        "--timeout",
        type=_time,
        default=DEFAULT_SECONDS,
        metavar="TIME",
        help="how long the probe's scheduler and worker may take: seconds, or such as 10m (default: 5m)",
    )
    doctor.add_argument(
        "--container-image", metavar="IMAGE", help="the probe worker's image, as in new_cluster()"
    )
    doctor.add_argument("--profile", metavar="NAME", help="the probe worker's profile, as in new_cluster()")
    return parser


def _place(text: str) -> str | int:
    """As `HTCGateway(proxy_address=...)` takes it: a number is a port of the gateway's host."""
    return int(text) if text.isdecimal() else text
