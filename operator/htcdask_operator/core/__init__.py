"""The operator's decisions: pure functions from frozen values to frozen values.

Called by `reconcile`, which observes before and performs after. Nothing here does I/O, asks a clock, rolls
dice or logs; the import contracts hold it to that. Begin at `plan`; `model` is what may be known, `actions`
what may be done.
"""
