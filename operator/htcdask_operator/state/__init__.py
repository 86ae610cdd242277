"""What was seen last, in memory: written by `watch` and by cycles, read by `reconcile.observe`.

queue        one access point's last answer
clusters     pools, clusters, and what each scheduler said
usage        who has how much of what a limit counts
withheld     Events that may be everybody's trouble    log_budget   how much of others' words is written
known        all together
"""
