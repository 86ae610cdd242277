"""One Kubernetes node in its own network, mount, PID and UTS namespaces: `node.Node` starts and repairs it.

daemons says what runs in it, pid1 keeps that running inside, namespaces finds and ends it from the outside.
controlplane is etcd and kube-apiserver, also alone on loopback for tests. Each part's own words are in
containers, dns, certificates and kubeconfig; forward makes its ports reachable; settle waits after a restart.
"""
