"""CoreDNS: the cluster's names, served from the node's own address. daemons.py and node.py call it."""

from __future__ import annotations

import json
from pathlib import Path

from playground import builds

DOMAIN = "cluster.local"
USER = "system:coredns"
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
    return [str(builds.program("coredns")), "-conf", str(corefile)]


def manifest() -> str:
    """The rights that CoreDNS needs."""
    rules = [
        {
            "apiGroups": [""],
            "resources": ["endpoints", "services", "pods", "namespaces"],
            "verbs": ["list", "watch"],
        },
        {
            "apiGroups": ["discovery.k8s.io"],
            "resources": ["endpointslices"],
            "verbs": ["list", "watch"],
        },
    ]
    api = "rbac.authorization.k8s.io"
    role = {
        "apiVersion": f"{api}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": USER},
        "rules": rules,
    }
    binding = {
        "apiVersion": f"{api}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": USER},
        "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": USER},
        "subjects": [{"apiGroup": api, "kind": "User", "name": USER}],
    }
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [role, binding]})
