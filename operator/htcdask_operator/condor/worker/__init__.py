"""What runs on the execute node: no HTCDask is there.

worker.sh, shell.sh  the wrapper      scheduler_check  whether the scheduler can be reached, before Dask tries
worker_preload, nanny_preload         within Dask
bundle       makes one text of them, on our side
"""
