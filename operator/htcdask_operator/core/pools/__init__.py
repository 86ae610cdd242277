"""What to do about the pools of one cluster.

cluster      all of them, looked at before any is decided
active       one in the middle of its life finalize   one at its end, or its cluster's
decision     what both come to
"""
