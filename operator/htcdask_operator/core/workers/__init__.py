"""What each worker job is, and what became of those that ended. Here alone JobStatus is given a meaning.

states       one state for each job        identity   whose it is
contact      whom the scheduler has lost   failures   what ended, counted once, for the status
ledger       what was submitted, seen and lost; and the pace
failure_policy  what HTCondor's codes, and our reasons, mean
endings      how one ended, in a sentence
machines     which of them eat workers
backoff      when the next may come
"""
