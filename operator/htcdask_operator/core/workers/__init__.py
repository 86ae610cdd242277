"""What each worker job is, and what became of those that ended. The only readers of JobStatus.

states       one state for each job        identity   whose it is
contact      whom the scheduler has lost   failures   what ended, counted once
hold_codes, vacate_codes                   what HTCondor's codes mean
backoff      when the next may come
"""
