"""What the process needs whatever it works on: no policy touches these.

leader_election  one lease                 claims     all leases that an operator holds
health       /healthz, /readyz, /metrics   supervise  when one task ends, all do
unexpected   exceptions that a loop survives
offer        what notebooks are told of the site
garbage      Python's full passes over all objects, kept short
small_http   the server under health, for anybody, at a bounded cost
"""
