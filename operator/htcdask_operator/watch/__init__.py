"""What wakes a cluster: nothing here decides, and every loop survives one odd answer.

handlers     kopf's watch                  resync     a listing, for what the watch did not show
poller       the queue, once for all       schedulers the Dask schedulers, each in its time
orphans      removes jobs whose pool is gone   stateless  keeps kopf from writing into objects
"""
