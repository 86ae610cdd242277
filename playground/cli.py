"""The playground's command line. It only says what happens; the work is in build/, node/ and site/."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from playground.build import paths, programs, pruning
from playground.build.errors import PlaygroundError
from playground.build.progress import say, step
from playground.node import node as node_module
from playground.node.node import Node

_DESCRIPTION = """\
A whole site on this machine: a Kubernetes node in its own namespaces, with dask-gateway, Traefik and
HTCondor on it. It needs root on Linux. Everything is built or installed from package registries, once, into
${XDG_CACHE_HOME:-~/.cache}/htcdask: the first `up` takes about ten minutes, the others less than one.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the exit status."""
    own, passed = _split(list(sys.argv[1:] if arguments is None else arguments))
    options = _parser().parse_args(own)
    command: Callable[[argparse.Namespace, list[str]], int] = options.command
    try:
        return command(options, passed)
    except PlaygroundError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted: `up` again carries on from here, `down` takes everything away")
        return 130


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What is ours, and what belongs to the program that runs: `kubectl -n gateway get pods`."""
    for index, word in enumerate(arguments):
        if word in _PROGRAMS and arguments[index - 1 : index] != ["--name"]:
            rest = arguments[index + 1 :]
            if word not in _WITH_HELP and rest[:1] in (["--help"], ["-h"]):
                return arguments, []
            return arguments[: index + 1], rest[1:] if rest[:1] == ["--"] else rest
    return arguments, []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m playground",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = "which playground (default: demo)"
    parser.add_argument("--name", default="demo", help=which)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(
        name: str, command: Callable[[argparse.Namespace, list[str]], int], text: str
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        if name not in _PROGRAMS:
            added.add_argument("--name", default=argparse.SUPPRESS, help=which)
        added.set_defaults(command=command)
        return added

    up = add("up", _up, "start the site, repair it, or leave it alone when it runs")
    up.add_argument("--fresh", action="store_true", help="start from nothing, but keep the images")
    up.add_argument("--bare", action="store_true", help="the Kubernetes node only, without the site on it")
    add("demo", _demo, "the site, and a notebook's worth of work on it")
    down = add("down", _down, "end the site; its state stays for the next `up`")
    down.add_argument("--all", action="store_true", help="every playground of this user")
    down.add_argument("--forget", action="store_true", help="take its state away, too")
    add("status", _status, "show what runs, and where it can be reached")
    add("build", _build, "build all programs and images now, so that `up` need not")
    held = add("cache", _cache, "show what the cache holds, and what of it nobody needs any more")
    held.add_argument("--prune", action="store_true", help="take that away now; each build does so, too")
    logs = add("logs", _logs, "the log of a part of the node (see `status`) or of a deployment")
    logs.add_argument("part", nargs="?", help="default: the end of each")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    for name, (run, text) in _PROGRAMS.items():
        add(name, run, text)
    return parser


def _up(options: argparse.Namespace, passed: list[str]) -> int:
    node = Node(options.name)
    if options.bare:
        node.up(fresh=options.fresh)
        return _status(options, passed)
    from playground.site import site  # heavier, and the other commands need nothing of it

    _prepare(options)
    node.up(fresh=options.fresh)
    applied = site.apply(node)
    status = _status(options, passed)
    print(f"  JupyterLab in a browser: {applied.jupyter_url}")
    return status


def _demo(options: argparse.Namespace, passed: list[str]) -> int:
    from playground.site import demo

    _prepare(options)
    demo.run(options.name)
    return 0


def _down(options: argparse.Namespace, passed: list[str]) -> int:
    for name in paths.instances() if options.all else [options.name]:
        with step(f"ending {name!r}"):
            Node(name).down()
        if options.forget and paths.instance(name).is_dir():
            with step(f"forgetting {name!r}"):
                shutil.rmtree(paths.instance(name))
    return 0


def _status(options: argparse.Namespace, passed: list[str]) -> int:
    node = Node(options.name)
    if not node.running:
        others = [name for name in paths.instances() if Node(name).running]
        beside = f"; running: {', '.join(others)}" if others else ""
        print(f"{options.name}: down{beside}")
        return 3
    print(f"{options.name}: up")
    for part in node.parts():
        state = "healthy" if part["healthy"] else "starting" if part["pid"] else "ended"
        again = f", started again {part['restarts']} times" if part["restarts"] else ""
        print(f"  {part['name']:<24} {state}{again}")
    for name, ends in node.forwards().items():
        print(f"  {name:<24} {ends}")
    print(f"  export KUBECONFIG={node.kubeconfig}")
    return 0


def _build(options: argparse.Namespace, passed: list[str]) -> int:
    for name, path in _prepare(options).items():
        print(f"{name:<24} {path}")
    return 0


def _cache(options: argparse.Namespace, passed: list[str]) -> int:
    if options.prune:
        say(f"{pruning.readable(pruning.prune(time.time()))} freed")
    print("\n".join(pruning.report(time.time())))
    return 0


def _prepare(options: argparse.Namespace) -> dict[str, Path]:
    from playground.build import prepare

    node_module.refuse_where_impossible()  # before minutes of building
    return prepare.everything()


def _logs(options: argparse.Namespace, passed: list[str]) -> int:
    node = Node(options.name)
    files = {path.stem: path for path in sorted((node.state / "logs").glob("*.log"))}
    if options.part and options.part not in files:
        return _pod_logs(node, options.part, options.follow)
    chosen = [files[options.part]] if options.part else list(files.values())
    follow = ["--follow"] if options.follow else []
    lines = "--lines=+1" if options.part else "--lines=10"
    return subprocess.run(["tail", *follow, lines, *map(str, chosen)]).returncode


def _pod_logs(node: Node, part: str, follow: bool) -> int:
    found: list[list[str]] = []
    if node.running:
        columns = "--output=custom-columns=:metadata.namespace,:metadata.name"
        listed = node.kubectl("get", "deployments", "--all-namespaces", "--no-headers", columns)
        found = [words for line in listed.splitlines() if part in (words := line.split())[1]]
    if not found:
        raise PlaygroundError(f"no part of the node and no deployment is called {part!r}: see `status`")
    # The shortest name is the nearest to what was asked for.
    namespace, name = min(found, key=lambda words: len(words[1]))
    arguments = ["logs", f"--namespace={namespace}", f"deployment/{name}", f"--follow={str(follow).lower()}"]
    return _run(node, "kubectl", [*arguments, "--all-containers"])


def _shell(options: argparse.Namespace, passed: list[str]) -> int:
    node = Node(options.name)
    return subprocess.run(node.enter(*(passed or ["bash"])), env=_environment(node)).returncode


def _kubectl(options: argparse.Namespace, passed: list[str]) -> int:
    return _run(Node(options.name), "kubectl", passed)


def _helm(options: argparse.Namespace, passed: list[str]) -> int:
    return _run(Node(options.name), "helm", passed)


def _condor(options: argparse.Namespace, passed: list[str]) -> int:
    return _exec(Node(options.name), "condor", "condor", passed or ["bash"])


def _notebook(options: argparse.Namespace, passed: list[str]) -> int:
    return _exec(Node(options.name), "notebooks", "notebook", ["python", *passed])


def _exec(node: Node, namespace: str, deployment: str, command: list[str]) -> int:
    terminal = ["--tty"] if sys.stdin.isatty() else []
    where = ["exec", "--stdin", *terminal, f"--namespace={namespace}", f"deployment/{deployment}", "--"]
    return _run(node, "kubectl", [*where, *command])


def _run(node: Node, tool: str, arguments: list[str]) -> int:
    node.enter()  # refuses when the node is down
    return subprocess.run([str(programs.path(tool)), *arguments], env=_environment(node)).returncode


def _environment(node: Node) -> dict[str, str]:
    folder = str(Path(programs.path("kubectl")).parent)
    path = os.pathsep.join([folder, os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return {**os.environ, "KUBECONFIG": str(node.kubeconfig), "PATH": path}


_WITH_HELP = ("kubectl", "helm")  # of their own, under the same words
_PROGRAMS = {
    "shell": (_shell, "a shell (or the command that follows) inside the node"),
    "kubectl": (_kubectl, "run kubectl as cluster admin"),
    "helm": (_helm, "run helm as cluster admin"),
    "condor": (_condor, "a shell (or the command that follows) on the HTCondor access point"),
    "notebook": (_notebook, "a Python prompt (or what follows `python`) in the notebook pod"),
}
