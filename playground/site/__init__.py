"""All that runs on the playground's node: `site.apply` brings it there and returns a `Site` to talk to.

gateway has dask-gateway's configuration and Traefik's resources, access_point HTCondor's pod and the
operator's token, notebook runs a user's Python, wait says which pod is not ready and why, demo is
`make demo`. manifests/ is what is applied.
"""
