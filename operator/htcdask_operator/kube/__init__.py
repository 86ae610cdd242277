"""The Kubernetes API, and nobody else talks to it (kopf's own watch apart).

port         what the operator asks, and `errors`, how it fails   api   the same, on a real API server
requests     one request, with deadline and retries
bodies, pools, clusters, leases, events, logs, scheduler_pods      from and to JSON
discovery    which kinds the API server has
finalizers   ours, on and off a pool
claimed, draining, spared, stand_down   leases of others; the end of an installation
"""
