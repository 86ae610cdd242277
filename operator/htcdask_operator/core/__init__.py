"""The operator's decisions: pure functions from frozen values to frozen values.

Called by `reconcile`, which observes before and performs after. Nothing here does I/O, asks a clock, rolls
dice or logs; the import contracts hold it to that. Begin at `plan`.

model        what may be known (`size`, `verdict`)    actions     what may be done
memory       what is kept from plan to plan (`setback`, `token_bucket`)   policy   what the site says
pools/       one cluster's pools, each a `pool_state`  workers/   what became of each job
scaling/     how many, and who goes   submit/   what is submitted   checks/   what keeps workers away
status/      what people are told: `reasons`, made harmless by `sanitize`; `counted`, `timestamps`
orphans, rivals, polling   what the shell asks beside a plan      mistake    when we are wrong ourselves
"""
