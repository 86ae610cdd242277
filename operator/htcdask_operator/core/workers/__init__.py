"""What each worker job is, and what became of those that ended. Here alone JobStatus is given a meaning.

states       one state for each job        identity   whose it is
contact      whom the scheduler has lost   let_go     who ended as somebody wished
failures     what ended, counted once, for the status
ledger       what was submitted, seen and lost; and the pace
failure_policy  what HTCondor's codes, and our reasons, mean
endings      how one ended, in a sentence
machines     which of them eat workers     out_of_memory  what more the next ones ask for
lifetime     when it ends by itself        succession  who comes in its place, before
worker_logs  what they printed             log_tail    the lines of it that explain
backoff      when the next may come
"""
