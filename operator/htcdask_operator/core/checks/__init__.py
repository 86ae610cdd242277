"""What keeps a pool from having workers: each check is a function that finds a reason, or nothing.

chains       their order, which is the order in which a pool says what it waits for
spec         what is asked for, and what the site allows: a person's turn
preconditions  what time, or somebody else's work, will mend
"""
