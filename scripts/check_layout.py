"""Hold the tree to its own rules: module length, no `operator/__init__.py`, no empty module.

Run by `make check`; prints what is wrong and exits with 1.
"""

import subprocess
import sys
from pathlib import Path

LONGEST = 300  # lines of one module
FREE = ("tests/", "benchmarks/", "examples/")  # long tables are welcome there


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
