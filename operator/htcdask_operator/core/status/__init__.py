"""What people are told of a pool.

summary      a pool's new status           explain    why workers are not there
counts       how many of each state        slots      what keeps a job from a slot
events       what changed between two      site_wide  what many pools have at once
"""
