"""The operator: keeps as many HTCondor workers as the Dask clusters of its namespaces ask for.

watch/       what wakes a cluster          state/     what was seen last
reconcile/   observe, plan, perform, publish, for one cluster at a time
core/        every decision, pure: begin at `core.plan`
condor/  kube/  scheduler/                 the three outside systems, each behind a port
process/     one operator at a time, its health and its end; no policy touches these

`__main__` reads the `settings` (`settings_types`, `settings_profiles`, `settings_errors`) and connects the
`ports`; `assemble` wires what runs; `metrics` is what is counted. `uninstall` is another program, for the
chart's hook. `uptime` and `descriptors` are what the machine says of this process;
`progress` tells who hangs in it.
"""
