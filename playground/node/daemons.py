"""The node's parts: what runs in it, with which configuration, in which order. Only node.py calls it.

`plan` writes every configuration file under the instance's state and returns the parts; pid1.py, inside the
namespaces, starts and keeps them. Sockets and logs are at their usual places (/run, /var/log), because the
node has these folders for itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.build import programs
from playground.node import containers, controlplane, dns, kubeconfig
from playground.node.certificates import Authority, Pair
from playground.node.controlplane import Credentials

NODE_NAME = "playground"
NODE_ADDRESS = "10.200.0.1"
NODE_NETWORK = f"{NODE_ADDRESS}/24"
API_PORT = 6443
_LOCAL = f"https://{NODE_ADDRESS}:{API_PORT}"


@dataclass(frozen=True)
class Part:
    """One program of the node: started once those in `after` are healthy, restarted whenever it ends."""

    name: str
    command: list[str]
    health: str
    after: tuple[str, ...] = ()


def plan(state: Path, cgroup: str) -> list[Part]:
    """Write the configuration and return the parts in a readable order."""
    credentials = Credentials.prepare(state / "pki", NODE_ADDRESS, NODE_NAME)
    authority = credentials.authority
    (state / "etc").mkdir(parents=True, exist_ok=True)
    needs_api = ("kube-apiserver",)
    return [
        Part(
            "etcd",
            controlplane.etcd(state / "etcd", "http://127.0.0.1:2379", "http://127.0.0.1:2380"),
            "http://127.0.0.1:2379/health",
        ),
        Part("kube-apiserver", _apiserver(state, credentials), f"{_LOCAL}/readyz", ("etcd",)),
        Part(
            "kube-controller-manager",
            _controller_manager(state, credentials),
            "https://127.0.0.1:10257/healthz",
            needs_api,
        ),
        Part("kube-scheduler", _scheduler(state, authority), "https://127.0.0.1:10259/healthz", needs_api),
        Part("containerd", containers.command(state), f"unix:{containers.SOCKET}"),
        Part(
            "kubelet",
            _kubelet(state, authority, cgroup),
            "http://127.0.0.1:10248/healthz",
            ("containerd", "kube-apiserver"),
        ),
        Part("kube-proxy", _proxy(state, authority), "http://127.0.0.1:10256/healthz", needs_api),
        Part(
            "coredns",
            dns.command(state, _account(state, authority, dns.USER, dns.GROUPS)),
            dns.HEALTH,
            needs_api,
        ),
    ]


def _account(state: Path, authority: Authority, user: str, groups: tuple[str, ...] = ()) -> Path:
    """A kubeconfig, inside the node, for one of its own parts."""
    name = user.split(":")[1]
    pair = authority.issue(name, user, groups=groups)
    return kubeconfig.write(state / "etc" / f"{name}.kubeconfig", _LOCAL, authority.pair.certificate, pair)


def _config(state: Path, name: str, content: dict[str, Any]) -> str:
    path = state / "etc" / f"{name}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    return f"--config={path}"


def _apiserver(state: Path, credentials: Credentials) -> list[str]:
    client = credentials.authority.issue("kubelet-client", "kubelet-client", groups=["system:masters"])
    command = controlplane.apiserver(
        credentials,
        "http://127.0.0.1:2379",
        NODE_ADDRESS,
        NODE_ADDRESS,
        API_PORT,
        state / "run",
    )
    return [
        *command,
        f"--kubelet-certificate-authority={credentials.authority.pair.certificate}",
        f"--kubelet-client-certificate={client.certificate}",
        f"--kubelet-client-key={client.key}",
        "--kubelet-preferred-address-types=InternalIP",
    ]


def _controller_manager(state: Path, credentials: Credentials) -> list[str]:
    pair = credentials.authority.pair
    return [
        str(programs.path("kube-controller-manager")),
        f"--kubeconfig={_account(state, credentials.authority, 'system:kube-controller-manager')}",
        f"--service-account-private-key-file={credentials.tokens}",
        f"--root-ca-file={pair.certificate}",
        f"--cluster-signing-cert-file={pair.certificate}",
        f"--cluster-signing-key-file={pair.key}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--cert-dir={state / 'run'}",
        # A busy test makes and ends hundreds of objects; the default rate is made for shared clusters.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]


def _scheduler(state: Path, authority: Authority) -> list[str]:
    return [
        str(programs.path("kube-scheduler")),
        f"--kubeconfig={_account(state, authority, 'system:kube-scheduler')}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--cert-dir={state / 'run'}",
    ]


def _kubelet(state: Path, authority: Authority, cgroup: str) -> list[str]:
    serving: Pair = authority.issue("kubelet", "kubelet", hosts=[NODE_NAME, NODE_ADDRESS, "127.0.0.1"])
    user = f"system:node:{NODE_NAME}"
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority.pair.certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "clusterDNS": [NODE_ADDRESS],
        "clusterDomain": dns.DOMAIN,
        "containerRuntimeEndpoint": f"unix://{containers.SOCKET}",
        "enforceNodeAllocatable": [],
        # Out of memory, the largest process of a container ends, not all of it: one worker, not HTCondor.
        "singleProcessOOMKill": True,
        # The disk is the developer's own: the playground does not evict because that is nearly full.
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "failCgroupV1": False,
        "failSwapOn": False,
        "maxPods": 500,
        # There may be no right to lower this number, and nothing depends on it here.
        "oomScoreAdj": 0,
        "podLogsDir": "/var/log/pods",
        "resolvConf": str(_resolver(state)),
        "syncFrequency": "10s",
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "volumePluginDir": str(state / "kubelet" / "volume-plugins"),
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "eventRecordQPS": 0,
        "registryPullQPS": 0,
    }
    return [
        str(programs.path("kubelet")),
        _config(state, "kubelet", config),
        f"--kubeconfig={_account(state, authority, user, ('system:nodes',))}",
        f"--root-dir={state / 'kubelet'}",
        f"--node-ip={NODE_ADDRESS}",
        f"--hostname-override={NODE_NAME}",
    ]


def _proxy(state: Path, authority: Authority) -> list[str]:
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": str(_account(state, authority, "system:kube-proxy"))},
        "clusterCIDR": containers.POD_NETWORK,
        # These limits belong to the machine; a network namespace may not write them.
        "conntrack": {"maxPerCore": 0, "min": 0},
        "hostnameOverride": NODE_NAME,
        "oomScoreAdj": 0,
        "iptables": {"minSyncPeriod": "0s", "syncPeriod": "30s"},
    }
    return [str(programs.path("kube-proxy")), _config(state, "kube-proxy", config)]


def _resolver(state: Path) -> Path:
    """The resolv.conf of pods that ask for the node's own."""
    path = state / "etc" / "resolv.kubelet"
    path.write_text(f"nameserver {NODE_ADDRESS}\n")
    return path
