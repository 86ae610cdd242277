"""What to do about the pools of one cluster.

cluster      all of them, seen before any is decided    memory_request  what workers ran out of
complete     one, with all that follows from what is seen and remembered
active       one in the middle of its life: the `steps`, one after the other (each a `step`)
submit       who comes: missing workers and successors  kept_logs   what they printed
finalize     one at its end, or at its cluster's        decision    what each comes to
"""
