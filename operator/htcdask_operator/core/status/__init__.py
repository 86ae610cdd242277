"""What people are told of a pool.

summary      counts and conditions         explain    why workers are not there
slots        what keeps a job from a slot       events     what changed between two statuses
site_wide    what many pools have at once
"""
