"""A whole site on one machine: Kubernetes, dask-gateway, Traefik and HTCondor, for demos and tests."""
