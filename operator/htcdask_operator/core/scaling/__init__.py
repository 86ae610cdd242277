"""How many workers, and who goes when there are too many.

desired      each pool's part              limits     the most that it may have
stabilization  a number that turns up and down, and when it is followed
scale_down   who goes                      drain      and who had time enough
scale_scheduler  when the scheduler must hear of it   default_pool  a pool where there is none
heartbeat    how many names a scheduler may have known
"""
