"""What to do about the pools of one cluster.

cluster      all of them, seen before any is decided
active       one in the middle of its life: the `steps`, one after the other
finalize     one at its end, or at its cluster's
decision     what each comes to
"""
