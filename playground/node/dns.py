"""CoreDNS: the cluster's names, served from the node's own address. Only daemons.py calls it."""

from __future__ import annotations

from pathlib import Path

from playground.build import programs

DOMAIN = "cluster.local"
USER = "system:coredns"
# It runs beside all the cluster's keys, so a role of its own would protect nothing and cost a start-up step.
GROUPS = ("system:masters",)
HEALTH = "http://127.0.0.1:8181/ready"

# Names are cached for a moment only: tests make services and use them at once. The playground has no way out,
# so all other names are said not to exist, instead of a failure that resolvers would repeat.
_COREFILE = """\
.:53 {{
    errors
    ready
    kubernetes {domain} in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 2
    }}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
    cache 2
}}
"""


def command(state: Path, kubeconfig: Path) -> list[str]:
    """Write the Corefile and return CoreDNS's command line."""
    corefile = state / "etc" / "Corefile"
    corefile.write_text(_COREFILE.format(domain=DOMAIN, kubeconfig=kubeconfig))
    return [str(programs.path("coredns")), "-conf", str(corefile)]
