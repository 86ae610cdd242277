"""Writes gateway/htcdask_gateway.py into values for the upstream dask-gateway chart.

Run by people after a change of that file, and by `make check` with `--check`, which writes nothing and fails
if the values are not what this script would write.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "gateway" / "htcdask_gateway.py"
VALUES = ROOT / "charts" / "htcdask" / "gateway-values.yaml"

HEADER = """\
# Generated from gateway/htcdask_gateway.py by scripts/render_gateway_values.py: change that, not this.
#
# Adds HTCondor worker pools to the API server of the upstream dask-gateway chart:
#
#   helm upgrade dask-gateway dask-gateway/dask-gateway -f site.yaml -f gateway-values.yaml
#
# - If site.yaml has a gateway.extraConfig, it must be a map (extraConfig: {some-name: |...}), as here. Where
#   it is one string, Helm replaces it by this map and the site's own code is silently gone.
# - The chart runs the keys in alphabetical order, so that this one comes last and sees what the others set.
# - Settings, in an entry of the site's own extraConfig (the defaults are shown):
#     c.HTCDaskBackend.default_worker_backend = "kubernetes"   # or "htcondor": for who does not choose
#     c.HTCDaskBackend.max_pools_per_cluster = 8
# - The API server's service account needs the role that the htcdask chart makes for it
#   (gateway.serviceAccountName in that chart's values).
gateway:
  extraConfig:
    zz-htcdask: |
"""

# The chart pastes every entry into one Python file. A namespace of its own keeps our names away from the
# site's, whose functions run long after this.
OPENING = """\
_htcdask_source = r'''
"""
CLOSING = """\
'''
_htcdask = {"__name__": "htcdask_gateway"}
exec(compile(_htcdask_source, "<gateway.extraConfig.zz-htcdask>", "exec"), _htcdask)
_htcdask["configure"](c)
"""


def render(source: str) -> str:
    if "'''" in source:
        raise ValueError(f"{SOURCE.name} contains ''', which ends the string that it is rendered into")
    lines = (OPENING + source + CLOSING).splitlines()
    return HEADER + "".join(f"      {line}\n" if line else "\n" for line in lines)


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: render_gateway_values.py [--check]\n")
        return 2
    rendered = render(SOURCE.read_text())
    if not arguments:
        VALUES.write_text(rendered)
        return 0
    if VALUES.exists() and VALUES.read_text() == rendered:
        return 0
    script, values = Path(__file__).relative_to(ROOT), VALUES.relative_to(ROOT)
    sys.stderr.write(f"{values} is not what {SOURCE.relative_to(ROOT)} says: run python {script}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
