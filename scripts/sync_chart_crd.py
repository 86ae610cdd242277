"""Write the chart's copy of the CRD, or check it: `python scripts/sync_chart_crd.py [--check]`.

`crds/htcworkerpool.yaml` is the original. The copy differs in what the chart's values decide: whether the CRD
is installed, and whether it stays when the release goes; another release's is left alone. `make check` and
tests/chart run the check.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ORIGINAL = ROOT / "crds/htcworkerpool.yaml"
COPY = ROOT / "charts/htcdask/templates/crd.yaml"

HEADER = """\
{{- if and .Values.crds.install (not (include "htcdask.crdOwner" .)) }}
# Written by scripts/sync_chart_crd.py from crds/htcworkerpool.yaml: edit that one.
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


def render(original: str) -> str:
    """The chart's template made from the CRD's text."""
    if "{{" in original:
        raise ValueError("the CRD contains '{{', which Helm would evaluate")
    body = original[original.index("apiVersion:") :]
    head, separator, tail = body.partition("\nspec:\n")
    if not separator or not head.splitlines()[-1].startswith("  name:"):
        raise ValueError("the CRD's metadata must end with its name, right before spec")
    return f"{HEADER}{head}\n{METADATA}spec:\n{tail}{FOOTER}"


def main() -> int:
    """Write or check; the exit status says whether the copy is as it should be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail when the copy is stale")
    wanted = render(ORIGINAL.read_text(encoding="utf-8"))
    if not parser.parse_args().check:
        COPY.write_text(wanted, encoding="utf-8")
        return 0
    if COPY.exists() and COPY.read_text(encoding="utf-8") == wanted:
        return 0
    sys.stderr.write(
        f"{COPY.relative_to(ROOT)} is not {ORIGINAL.relative_to(ROOT)}: run scripts/sync_chart_crd.py\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
