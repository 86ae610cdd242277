"""Writes the modules in gateway/ into values for the upstream dask-gateway chart.

Run by people after a change of them, and by `make check` with `--check`, which writes nothing and fails
if the values are not what this script would write.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Each after what it imports.
NAMES = tuple(
    f"htcdask_{name}"
    for name in (
        *("bodies", "config", "errors", "heartbeats", "logs", "mark"),
        *("options", "groups", "offer", "gateway"),
    )
)
SOURCES = [ROOT / "gateway" / f"{name}.py" for name in NAMES]
VALUES = ROOT / "charts" / "htcdask" / "gateway-values.yaml"

HEADER = """\
# Generated from the modules in gateway/ by scripts/render_gateway_values.py: change those, not this.
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
# - One of dask-gateway's own that a site should set: else a cluster whose notebook was killed never ends.
#     c.ClusterConfig.idle_timeout = 1800   # seconds without a task; upstream's default 0 is never
# - The API server's service account needs the role that the htcdask chart makes for it
#   (gateway.serviceAccountName in that chart's values).
gateway:
  extraConfig:
    zz-htcdask: |
"""

# The chart pastes every entry into one Python file. Modules of their own keep our names away from the site's,
# whose functions run long after this.
MODULE = """\
_htcdask_source = r'''
{source}'''
_htcdask = __import__("types").ModuleType("{name}")
exec(compile(_htcdask_source, "<gateway.extraConfig.zz-htcdask {name}>", "exec"), _htcdask.__dict__)
__import__("sys").modules["{name}"] = _htcdask
"""
CLOSING = '_htcdask.configure(c, globals().get("__file__"))\n'


def render(sources: list[Path]) -> str:
    text = ""
    for path in sources:
        source = path.read_text()
        if "'''" in source:
            raise ValueError(f"{path.name} contains ''', which ends the string that it is rendered into")
        text += MODULE.replace("{name}", path.stem).replace("{source}", source)
    return HEADER + "".join(f"      {line}\n" if line else "\n" for line in (text + CLOSING).splitlines())


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: render_gateway_values.py [--check]\n")
        return 2
    rendered = render(SOURCES)
    if not arguments:
        VALUES.write_text(rendered)
        return 0
    if VALUES.exists() and VALUES.read_text() == rendered:
        return 0
    script, values = Path(__file__).relative_to(ROOT), VALUES.relative_to(ROOT)
    sys.stderr.write(f"{values} is not what the modules in gateway/ say: run python {script}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
