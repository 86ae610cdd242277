"""Hold the tree to its own rules: module length, no `operator/__init__.py`, what the extension may import.

Run by `make check`; prints what is wrong and exits with 1.
"""

import ast
import subprocess
import sys
from pathlib import Path

LONGEST = 300  # lines of one module
FREE = ("tests/", "benchmarks/", "examples/")  # long tables are welcome there

# The gateway extension is no package, and import-linter knows packages only. All this comes with its server.
EXTENSION = tuple(
    f"gateway/htcdask_{name}.py"
    for name in ("gateway", "config", "errors", "heartbeats", "bodies", "logs", "offer")
)
BESIDE_EXTENSION = {
    "htcdask_heartbeats",
    "htcdask_bodies",
    "htcdask_config",
    "htcdask_errors",
    "htcdask_logs",
    "htcdask_offer",
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


def main() -> int:
    """Exit status: 0 when the tree is in order."""
    found = problems(Path(__file__).resolve().parent.parent)
    for line in found:
        sys.stderr.write(line + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
