"""The worker's wrapper in a real bash, with a program in dask's place: any variables, and every end."""

from __future__ import annotations

import ast
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from htcdask_operator.condor.worker.bundle import render
from htcdask_operator.core.actions import Bundle
from htcdask_operator.core.workers import lifetime

KEY = "-----BEGIN PRIVATE KEY-----\nthe-key\n-----END PRIVATE KEY-----"
BUNDLE = Bundle(
    scheduler="tls://gateway.example:443",
    sni="daskgateway-gateway.abc",
    threads=1,
    memory_limit=2**30,
    nanny=True,
    death_timeout=30,
    lifetime=None,
    worker_ports=None,
    nanny_ports=None,
    retire_seconds=15,
    close_seconds=2.5,
    environment=(),
    resources=(),
)
# Tells what it was given, and that the key was there; then ends as it is told.
PROGRAM = """#!{python} -S
import json, os, signal, sys, time
arguments = sys.argv[1:]
if "--tls-key" in arguments:
    key = arguments[arguments.index("--tls-key") + 1]
    told = dict(arguments=arguments, environment=dict(os.environ), key=open(key).read(), work=os.getcwd())
    told["program"] = sys.argv[0]
    told["preload"] = open(arguments[arguments.index("--preload") + 1]).read()
    open("{told}.new", "w").write(json.dumps(told))
    os.rename("{told}.new", "{told}")
{then}
"""


@dataclass
class Node:
    """An execute node: a scratch folder, an image with a dask, and a folder that nobody may touch."""

    root: Path

    def __post_init__(self) -> None:
        for folder in ("scratch", "image", "victim/data"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "victim/data/file").write_text("precious")

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    @property
    def victim(self) -> Path:
        return self.root / "victim"

    def install(self, then: str = "", program: str = "image/dask") -> Path:
        path = self.root / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PROGRAM.format(python=sys.executable, told=self.root / "told", then=then))
        path.chmod(0o755)
        return path

    def start(
        self,
        user: Mapping[str, str],
        image: Mapping[str, str],
        bash: tuple[str, ...] = ("bash",),
        arguments: tuple[str, ...] = ("w1",),
        works: int | None = None,
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            # Whoever runs the tests may ignore SIGHUP (nohup); a shell that inherits that cannot trap it.
            ("/usr/bin/env", "--default-signal", *bash, "-s", *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.root,
            env={
                "PATH": f"{self.root / 'image'}:/usr/bin:/bin",
                "_CONDOR_SCRATCH_DIR": str(self.scratch),
                **image,
            },
        )
        assert process.stdin is not None
        bundle = replace(BUNDLE, environment=tuple(user.items()), lifetime=works)
        process.stdin.write(render(bundle, "the-certificate", KEY))
        process.stdin.close()
        process.stdin = None
        return process

    def run(self, user: Mapping[str, str], image: Mapping[str, str], **how: Any) -> Ran:
        process = self.start(user, image, **how)
        output = process.communicate(timeout=30)[0].decode()
        return Ran(process.returncode, output, self.told())

    def told(self) -> dict[str, Any]:
        path = self.root / "told"
        return json.loads(path.read_text()) if path.exists() else {}

    def left(self) -> list[str]:
        """What lies in the scratch folder."""
        return [str(path) for path in self.scratch.rglob("*")]

    def is_untouched(self) -> bool:
        return (self.victim / "data/file").read_text() == "precious" and len(
            list(self.victim.rglob("*"))
        ) == 2


@dataclass(frozen=True)
class Ran:
    code: int
    output: str
    told: dict[str, Any]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "node")


def check_that_the_worker_was_as_it_should_be(ran: Ran, node: Node) -> None:
    assert ran.code == 0
    first, _, rest = ran.output.partition("\n")
    assert re.fullmatch(r"htcdask: worker w1 on \S* ended with 0; its last lines:", first)
    assert not rest or rest.startswith("ERROR: ld.so: "), "the loader's words, to the worker"
    told, work = ran.told, Path(ran.told["work"])
    assert work.parent == node.scratch
    assert told["key"].strip() == KEY
    arguments = told["arguments"]
    assert arguments[:4] == ["worker", BUNDLE.scheduler, "--name", "w1"]
    assert arguments[4:6] == ["--scheduler-sni", BUNDLE.sni]
    assert arguments[-8:] == [
        *("--tls-ca-file", f"{work}/dask.crt"),
        *("--tls-cert", f"{work}/dask.crt"),
        *("--tls-key", f"{work}/dask.pem"),
        *("--local-directory", str(work)),
    ]
    assert told["environment"]["HTCDASK_SCHEDULER_SNI"] == BUNDLE.sni
    assert "the-key" not in json.dumps(told["environment"])
    assert not [name for name in told["environment"] if name.startswith("htcdask_") and name not in GIVEN]
    assert node.left() == []
    assert node.is_untouched()


GIVEN = {"htcdask_work", "htcdask_secrets", "htcdask_key", "htcdask_child", "htcdask_options"}
# Values for variables that this wrapper, an earlier one, bash, HTCondor or the loader read.
CARELESS: dict[str, dict[str, str]] = {
    name: {name: "VICTIM"}
    for name in (
        *("work", "secrets", "name", "scratch", "program", "child", "status", "pair", "environment"),
        *("certificate", "key", "options", "scheduler", "worker_preload", "nanny_preload", *sorted(GIVEN)),
        *("_CONDOR_SCRATCH_DIR", "TMPDIR", "TMP", "TEMP", "HOME", "PWD", "OLDPWD", "CDPATH", "HOSTNAME"),
        *("UID", "EUID", "PPID", "GROUPS", "BASHOPTS", "BASH_VERSINFO", "FUNCNAME", "DIRSTACK", "OPTIND"),
        *("POSIXLY_CORRECT", "BASH_XTRACEFD", "GLOBIGNORE", "PS4", "PROMPT_COMMAND", "_", "LC_ALL", "LANG"),
        *("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER", "LD_LIBRARY_PATH", "ENV", "HTCDASK_SCHEDULER_SNI"),
    )
} | {
    "no-path": {"PATH": ""},
    "path-of-nothing": {"PATH": "/nowhere:VICTIM"},
    "path-of-here": {"PATH": ".:"},
    "ifs": {"IFS": "/"},
    "bash-env": {"BASH_ENV": "VICTIM/data/file"},
    "traced": {"SHELLOPTS": "xtrace:verbose:noexec:errexit"},
    "loader": {"LD_PRELOAD": "/nowhere.so"},
    "quoting": {"A": "'; touch VICTIM/x; echo '$(touch VICTIM/x)`touch VICTIM/x`\\", "B": '"\\"'},
    "empty": {"A": "", "name": ""},
    "many": {f"A{number}": "x" * 120 for number in range(256)},
    "all-at-once": dict.fromkeys(("work", "name", "program", "options", "child", "secrets", "IFS"), "/"),
}


@pytest.mark.parametrize("variables", CARELESS.values(), ids=CARELESS)
def test_the_worker_gets_the_user_s_variables_and_the_wrapper_none(
    node: Node, variables: dict[str, str]
) -> None:
    node.install()
    user = {name: value.replace("VICTIM", str(node.victim)) for name, value in variables.items()}
    ran = node.run(user, {})
    check_that_the_worker_was_as_it_should_be(ran, node)
    expected = {**user, "HTCDASK_SCHEDULER_SNI": BUNDLE.sni}
    assert {name: ran.told["environment"].get(name) for name in expected} == expected


FUNCTIONS = (
    *("rm", "mktemp", "env", "tail", "cd", "printf", "kill", "wait", "trap", "exit", "return", "local"),
    *("unset", "set", "readonly", "builtin", "command", "compgen", "declare", "umask", "main", "clean"),
    *("a-b", "fail", "[", "test", "echo", "exec", "export", "unalias", "eval", "shopt"),
)
IMAGES: dict[str, dict[str, str]] = {
    "functions": {f"BASH_FUNC_{name}%%": f"() {{ echo {name} of the image; }}" for name in FUNCTIONS},
    "its-variables": dict.fromkeys(
        (*GIVEN, "work", "name", "options", "key", "certificate", "htcdask_certificate"), "VICTIM"
    ),
    "posix": {"POSIXLY_CORRECT": "1"},
    "posix-and-functions": {
        "SHELLOPTS": "posix",
        **{f"BASH_FUNC_{name}%%": "() { echo of the image; }" for name in ("rm", "set", "unset", "trap")},
    },
    "strict": {"SHELLOPTS": "errexit:nounset:noclobber:allexport:monitor:noglob"},
    "no-such-tmpdir": {"TMPDIR": "/nowhere"},
    "scratch-is-nowhere-relative": {"CDPATH": "VICTIM", "GLOBIGNORE": "*", "BASHOPTS": "failglob:nullglob"},
    "start-up-file": {"BASH_ENV": "START"},
    "found-anywhere": {"PATH": ".::bin:IMAGE:/usr/bin:/bin"},
}
START_UP_FILE = """
set -eu
shopt -s expand_aliases
alias rm='echo alias' unset='echo alias' set='echo alias' readonly='echo alias' local='echo alias'
mktemp() { echo /; }
builtin() { echo builtin of the image; }
htcdask_work=/nowhere
IFS=s
"""


@pytest.mark.parametrize("variables", IMAGES.values(), ids=IMAGES)
def test_an_image_s_environment_does_not_change_the_wrapper(node: Node, variables: dict[str, str]) -> None:
    node.install()
    (node.root / "start").write_text(START_UP_FILE)
    (node.root / "dask").write_text(f"#!/bin/sh\ntouch {node.victim}/x\n")
    (node.root / "dask").chmod(0o755)
    places = {"VICTIM": node.victim, "START": node.root / "start", "IMAGE": node.root / "image"}
    image = dict(variables)
    for place, path in places.items():
        image = {name: value.replace(place, str(path)) for name, value in image.items()}
    check_that_the_worker_was_as_it_should_be(node.run({"GREETING": "hello"}, image), node)


@pytest.mark.parametrize("options", ["xtrace", "verbose", "xtrace:verbose:allexport"])
def test_a_shell_that_its_image_traces_prints_no_key(node: Node, options: str) -> None:
    node.install("sys.exit(3)")
    ran = node.run({}, {"SHELLOPTS": options, "htcdask_key": "x", "htcdask_certificate": "x"})
    assert ran.code == 3
    assert "the-key" not in ran.output and "the-certificate" not in ran.output
    assert "the-key" not in json.dumps(ran.told["environment"])


@pytest.mark.parametrize("bash", [("bash",), ("bash", "-p"), ("bash", "--posix")], ids=" ".join)
def test_a_bash_of_another_manner(node: Node, bash: tuple[str, ...]) -> None:
    node.install()
    ran = node.run({"work": str(node.victim)}, {"BASH_FUNC_rm%%": "() { :; }"}, bash=bash)
    check_that_the_worker_was_as_it_should_be(ran, node)


def test_nothing_of_this_wrapper_reaches_the_worker_s_environment(node: Node) -> None:
    node.install()
    ran = node.run({"A": "1"}, {})
    assert ran.told["environment"].keys() <= {
        *("A", "PATH", "_CONDOR_SCRATCH_DIR", "HTCDASK_SCHEDULER_SNI", "PWD", "OLDPWD", "SHLVL", "_"),
        "LC_CTYPE",  # Python's own
    }


# --- Where dask is.


@pytest.mark.parametrize(
    ("installed", "path", "program", "command"),
    [
        (["image/dask"], "USER", "image/dask", ["worker"]),
        (["image/dask", "user/dask"], "USER", "image/dask", ["worker"]),
        (["image/dask-worker", "user/dask"], "USER", "image/dask-worker", []),
        (["user/dask"], "/nowhere:USER", "user/dask", ["worker"]),
        (["user/dask-worker"], "USER:", "user/dask-worker", []),
    ],
)
def test_the_image_s_dask_comes_first_then_that_of_the_user_s_path(
    node: Node, installed: list[str], path: str, program: str, command: list[str]
) -> None:
    for name in installed:
        node.install(program=name)
    ran = node.run({"PATH": path.replace("USER", str(node.root / "user"))}, {})
    assert (ran.code, ran.told["program"]) == (0, str(node.root / program))
    assert ran.told["arguments"][: len(command) + 1] == [*command, BUNDLE.scheduler]


@pytest.mark.parametrize("path", [None, "", "user", ".:user", "/nowhere"])
def test_without_a_dask_it_says_so_and_leaves_nothing(node: Node, path: str | None) -> None:
    node.install(program="user/dask")  # in the folder where the job starts, but not by an absolute path
    ran = node.run({} if path is None else {"PATH": path}, {"PATH": "/usr/bin:/bin"})
    assert ran.code == 1
    said = f"htcdask: worker w1 on {socket.gethostname()} ended: there is no dask in this image"
    of_the_user = (
        ", nor in the PATH that the pool's environment sets, which may be another machine's: leave it out, "
        "or choose an image with dask"
    )
    assert ran.output == f"{said} (PATH=/usr/bin:/bin){of_the_user if path else ''}\n"
    assert node.left() == []


# --- The Python of the image.


def test_dask_runs_by_the_image_s_python_although_the_user_s_path_has_another(node: Node) -> None:
    """Its first line is `#!/usr/bin/env python3`, and the PATH that the user gives comes from elsewhere."""
    path = node.install()
    path.write_text(path.read_text().replace(f"#!{sys.executable} -S", "#!/usr/bin/env python3"))
    (node.root / "image/python3").symlink_to(sys.executable)
    (node.root / "user").mkdir()
    (node.root / "user/python3").write_text("#!/bin/sh\nexit 9\n")
    (node.root / "user/python3").chmod(0o755)
    user = {"PATH": f"{node.root / 'user'}:/usr/bin:/bin"}
    ran = node.run(user, {})
    check_that_the_worker_was_as_it_should_be(ran, node)
    assert ran.told["environment"]["PATH"] == user["PATH"]


@pytest.mark.parametrize("first", ["#!/gone/bin/python3.8", "#! /gone/python -S", "#!/usr/bin/env python9"])
def test_an_image_without_dask_s_python_says_so_and_leaves_nothing(node: Node, first: str) -> None:
    node.install().write_text(f"{first}\nimport sys\n")
    ran = node.run({}, {})
    assert ran.code == 1
    assert re.search(
        r" ended: \S+/image/dask cannot run: its Python, \S*python\S*, is not in this image", ran.output
    )
    assert node.left() == []


@pytest.mark.parametrize(
    "first", ["#!/bin/sh", "\0\0ELF", "", "#!", "#!/usr/bin/env -S python -u", "#!" + "x" * 9999]
)
def test_an_unusual_program_is_run_all_the_same(node: Node, first: str) -> None:
    node.install().write_text(f"{first}\nexit 0\n")
    ran = node.run({}, {})
    assert "htcdask: worker w1" not in ran.output or "its last lines:" in ran.output
    assert node.left() == []


CHECK = """#!/bin/sh
case "$*" in
  *htcdask_check.py*) echo "an early reason"; echo "the last reason"; {then} ;;
  *) exec {python} "$@" ;;
esac
"""


@pytest.mark.parametrize(
    ("then", "is_verdict"),
    [
        ("exit 69", True),
        ("kill -ALRM $$", True),
        ("exit 0", False),
        ("exit 1", False),
        ("kill -SEGV $$", False),
    ],
)
def test_only_a_verdict_of_the_check_keeps_dask_from_being_tried(
    node: Node, then: str, is_verdict: bool
) -> None:
    """A name that is looked up for ever ends by an alarm: the last line is the reason then too."""
    program, python = node.install("sys.exit(3)"), node.root / "image/python3"
    program.write_text(program.read_text().replace(f"#!{sys.executable} -S", "#!/usr/bin/env python3"))
    python.write_text(CHECK.format(then=then, python=sys.executable))
    python.chmod(0o755)
    ran = node.run({}, {})
    verdict = f"htcdask: worker w1 on {socket.gethostname()} ended: the last reason\n"
    assert (ran.code, ran.told == {}) == ((1, True) if is_verdict else (3, False))
    assert (ran.output == verdict) is is_verdict
    assert node.left() == []


def test_the_scheduler_is_tried_by_a_python_of_any_age() -> None:
    text = files("htcdask_operator.condor.worker").joinpath("scheduler_check.py").read_text()
    ast.parse(text, feature_version=(3, 7))


# --- Every end.


@pytest.mark.parametrize(
    ("then", "code"),
    [
        ("sys.exit(0)", 0),
        ("sys.exit(3)", 3),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137),
        ("os.kill(os.getpid(), signal.SIGTERM)", 143),
        ("os.abort()", 134),
        ("raise MemoryError", 1),
        ("os.mkdir('deep'); os.symlink('/', 'deep/root'); os.chdir('/'); sys.exit(2)", 2),
        ("os.remove(key); sys.exit(4)", 4),
    ],
)
@pytest.mark.parametrize("variables", [{}, {"PATH": "/nowhere"}, {"secrets": "/nowhere", "work": "/nowhere"}])
def test_the_key_goes_when_the_worker_ends(
    node: Node, then: str, code: int, variables: dict[str, str]
) -> None:
    node.install(then)
    ran = node.run(variables, {})
    assert ran.told["key"].strip() == KEY
    assert ran.code == code
    assert node.left() == []
    assert "the-key" not in ran.output


def test_a_worker_that_was_killed_is_told_by_its_status_alone(node: Node) -> None:
    node.install("os.kill(os.getpid(), signal.SIGKILL)")
    said = f"htcdask: worker w1 on {socket.gethostname()} ended with 137; its last lines:\n"
    assert node.run({}, {}).output == said


@pytest.mark.parametrize(("code", "most"), [(0, 6144), (3, 32768)], ids=["well", "badly"])
def test_a_worker_that_ended_tells_its_last_lines_under_its_name(node: Node, code: int, most: int) -> None:
    """Of one that ended as it should fewer."""
    node.install(f"print('x' * 99_999 + 'the end', flush=True); sys.exit({code})")
    first, _, rest = node.run({}, {}).output.partition("\n")
    assert first == f"htcdask: worker w1 on {socket.gethostname()} ended with {code}; its last lines:"
    assert len(rest) == most
    assert rest.endswith("xthe end\n")


@pytest.mark.parametrize("contents", ["", "no program\n", "#!/nowhere\n"])
def test_the_key_goes_when_the_worker_cannot_start(node: Node, contents: str) -> None:
    node.install().write_text(contents)
    ran = node.run({}, {})
    assert ran.code in (0, 126, 127)  # an empty file is an empty script
    assert node.left() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_the_worker_and_the_key_goes(node: Node, number: signal.Signals) -> None:
    # Many short sleeps: Python sees a signal that came just before a sleep only after it.
    graceful = (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); open('ready', 'w').close(); "
        "[time.sleep(0.1) for _ in range(600)]"
    )
    node.install(graceful)
    process = node.start({"child": "1", "status": "1"}, {})
    wait_for(lambda: list(node.scratch.glob("*/ready")))
    process.send_signal(number)
    assert process.wait(20) == 0
    assert node.left() == []


def test_a_signal_at_any_moment_of_the_start_ends_it_and_leaves_nothing(node: Node) -> None:
    node.install("time.sleep(60)")
    for step in range(40):
        process = node.start({}, {})
        time.sleep(step / 400)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (-signal.SIGTERM, 143)
        assert node.left() == [], f"after {step / 400} s"


def wait_for(condition: Any) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_container_s_key_lies_in_its_memory_and_goes(node: Node) -> None:
    before = set(Path("/dev/shm").iterdir())
    node.install("sys.exit(1)")
    ran = node.run({"secrets": str(node.victim)}, {"APPTAINER_CONTAINER": "/image"})
    key = ran.told["arguments"][ran.told["arguments"].index("--tls-key") + 1]
    assert key.startswith("/dev/shm/htcdask.")
    assert set(Path("/dev/shm").iterdir()) <= before
    assert node.left() == [] and node.is_untouched()


def retires_at(ran: Ran) -> int:
    """What the preload was told last."""
    return int(re.findall(r"^RETIRES_AT = (\d+)$", ran.told["preload"], re.MULTILINE)[-1])


@pytest.mark.parametrize(
    "name", ["x0123456z000", "x0123456z001", "x0123456z00a", "x0123456zzzz", "odd.name-_"]
)
@pytest.mark.parametrize("works", [240, 28_200])
def test_the_wrapper_and_the_operator_agree_on_when_a_worker_retires(
    node: Node, name: str, works: int
) -> None:
    node.install()
    began = time.time()
    ran = node.run({}, {"SECONDS": "1000"}, arguments=(name,), works=works)
    assert abs(retires_at(ran) - began - lifetime.of_worker(works, name)) <= 2


def test_a_successor_waits_in_its_slot_and_its_time_runs(node: Node) -> None:
    node.install()
    began = time.time()
    at = int(began) + 4
    ran = node.run({}, {}, arguments=("x0123456z000", str(at)), works=240)
    assert time.time() >= at
    assert abs(retires_at(ran) - began - lifetime.of_worker(240, "x0123456z000")) <= 2
    assert node.left() == []


def test_a_successor_that_is_told_to_end_while_it_waits_ends_at_once_and_leaves_nothing(node: Node) -> None:
    node.install()
    process = node.start({}, {}, arguments=("w1", str(int(time.time()) + 600)))
    while not any("dask.pem" in path for path in node.left()):
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == 143
    assert (node.left(), node.told()) == ([], {})
