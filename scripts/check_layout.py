"""Hold the tree to its own rules: module length, no `operator/__init__.py`, what the extension may import,
where the operator's docstrings say that things are.

Run by `make check`; prints what is wrong and exits with 1.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

LONGEST = 300  # lines of one module
FREE = ("tests/", "benchmarks/", "examples/")  # long tables are welcome there

# The gateway extension is no package, and import-linter knows packages only. All this comes with its server.
EXTENSION = tuple(
    f"gateway/htcdask_{name}.py"
    for name in (
        *("gateway", "config", "errors", "groups", "heartbeats"),
        *("bodies", "logs", "mark", "offer", "options"),
    )
)
BESIDE_EXTENSION = {
    "htcdask_heartbeats",
    "htcdask_bodies",
    "htcdask_config",
    "htcdask_errors",
    "htcdask_groups",
    "htcdask_logs",
    "htcdask_mark",
    "htcdask_offer",
    "htcdask_options",
    "aiohttp",
    "dask_gateway_server",
    "kubernetes_asyncio",
    "traitlets",
    *sys.stdlib_module_names,
}


def imported(source: str) -> set[str]:
    """The top-level names of all that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def problems(root: Path) -> list[str]:
    """One sentence for each rule that a tracked or new file breaks."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    found = []
    for name in sorted(set(listed)):
        path = root / name
        if not path.exists():
            continue
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > LONGEST and not name.startswith(FREE):
            found.append(
                f"{name}: {lines} lines; a module has at most {LONGEST}: split it by reason to change"
            )
        if lines == 0 and path.name != "__init__.py":
            found.append(f"{name}: empty; delete it")
    for part in EXTENSION:
        for name in sorted(imported((root / part).read_text(encoding="utf-8")) - BESIDE_EXTENSION):
            found.append(f"{part}: imports {name}, which an unmodified dask-gateway server does not have")
    if (root / "operator/__init__.py").exists():
        found.append("operator/__init__.py: shadows the standard library's operator; delete it")
    return found


def untold(root: Path) -> list[str]:
    """What a folder's `__init__` leaves out of what lives there; and who is said to call, and does not."""
    modules = {_dotted(path, root): path.read_text(encoding="utf-8") for path in root.rglob("*.py")}
    found = []
    for name, source in modules.items():
        path, doc = root.parent / name.replace(".", "/"), ast.get_docstring(ast.parse(source)) or ""
        if path.is_dir():
            words = set(re.findall(r"\w+", doc))
            inside = {other.stem for other in path.glob("*.py")} | {
                other.name for other in path.iterdir() if (other / "__init__.py").exists()
            }
            for missing in sorted(inside - words - {"__init__", "__main__"}):
                found.append(f"{name}: its docstring says nothing of {missing}")
        callers = {other for other, text in modules.items() if re.search(_imports(name), text)}
        for said in re.findall(
            r"`([\w.]+)`", "".join(re.findall(r"^Called by ((?:`[\w.]+`|,|\s|and)+)", doc, re.M))
        ):
            of = said.rpartition(".")[0] or said  # or a function of it
            if not any(other.endswith((f".{said}", f".{of}")) or f".{said}." in other for other in callers):
                found.append(f"{name}: is not called by {said}, as its docstring says")
    return found


def _dotted(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")


def _imports(name: str) -> str:
    """A pattern of how another module imports this one."""
    package, _, module = name.rpartition(".")
    return rf"from {re.escape(name)}[. ]|from {re.escape(package)} import (?:\([^)]*?|[^(\n]*?)\b{module}\b"


def main() -> int:
    """Exit status: 0 when the tree is in order."""
    root = Path(__file__).resolve().parent.parent
    found = problems(root) + untold(root / "operator/htcdask_operator")
    for line in found:
        sys.stderr.write(line + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
