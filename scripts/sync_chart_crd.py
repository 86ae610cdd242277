"""Write the chart's copies of the CRDs, or check them: `python scripts/sync_chart_crd.py [--check]`.

The originals are in `crds`. A copy differs in what the chart's values decide: whether the CRD is installed,
and whether it stays when the release goes; another release's is left alone. `make check` and tests/chart run
the check.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = ROOT / "charts/htcdask/templates"
COPIES = {
    ROOT / "crds/htcworkerpool.yaml": TEMPLATES / "crd.yaml",
    ROOT / "crds/htcworkerlog.yaml": TEMPLATES / "crd-log.yaml",
}

HEADER = """\
{{- if and .Values.crds.install (not (include "htcdask.crdOwner" (list . "NAME"))) }}
# Written by scripts/sync_chart_crd.py from crds/FILE: edit that one.
"""
METADATA = """\
  labels:
    {{- include "htcdask.labels" . | nindent 4 }}
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""
FOOTER = "{{- end }}\n"


def render(path: Path) -> str:
    """The chart's template made from the CRD in this file."""
    original = path.read_text(encoding="utf-8")
    if "{{" in original:
        raise ValueError("the CRD contains '{{', which Helm would evaluate")
    body = original[original.index("apiVersion:") :]
    head, separator, tail = body.partition("\nspec:\n")
    _, named, name = head.splitlines()[-1].partition("  name: ")
    if not separator or not named:
        raise ValueError("the CRD's metadata must end with its name, right before spec")
    header = HEADER.replace("NAME", name).replace("FILE", path.name)
    return f"{header}{head}\n{METADATA}spec:\n{tail}{FOOTER}"


def main() -> int:
    """Write or check; the exit status says whether the copy is as it should be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail when the copy is stale")
    check, status = parser.parse_args().check, 0
    for original, copy in COPIES.items():
        wanted = render(original)
        if not check:
            copy.write_text(wanted, encoding="utf-8")
        elif not copy.exists() or copy.read_text(encoding="utf-8") != wanted:
            names = f"{copy.relative_to(ROOT)} is not {original.relative_to(ROOT)}"
            sys.stderr.write(f"{names}: run scripts/sync_chart_crd.py\n")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
