"""A cluster's Dask scheduler, asked over HTTP. User code may answer in its place: nothing is believed.

port         what the operator asks        http       the same, of a real scheduler
exchange     bytes in, bytes out: bounded, with a deadline
answer, page, listing   the bytes read: only names of our own workers come through
"""
