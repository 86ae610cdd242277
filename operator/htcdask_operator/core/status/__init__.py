"""What people are told of a pool.

summary      counts and conditions         explain    why workers are not there
events       what changed between two statuses
"""
