"""What HTCDask adds to dask-gateway's client: a pool of HTCondor workers for each cluster.

From the user's words to the pool: `new_cluster` (which there are), `keywords`, `sizes` and `node_match_expr`
(what they mean), `submission` (what the gateway is sent), `creation` (the cluster gets its pool, or is taken
back), `managed` (pools of their own beside it). `access` is the port to the pools, `gateway_route` and
`kubernetes_api` implement it.
From a `pool` to a person: `explanation`, `logs`, `panel` (HTML), `widget`, `display` and `cluster`, and once
that is closed `closed`. To a person who waits: `waiting`, by `progress` (one line), `stalls` (when it is in
vain) and `turns` (how often a gateway is asked). `older` is what notebooks for the older clients expect of a
cluster. Nothing here knows `_client`; all of it works with any `dask_gateway.Gateway`.
"""
