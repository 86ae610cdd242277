"""HTCondor alone, on loopback, without Kubernetes: `bare.BarePool`, for contract tests and benchmarks.

bare.sh is its first process, in namespaces of its own. condor.conf is the one configuration of all HTCondor
here: the site's pod reads the same file. Both run the root file system of build/rootfs_condor.py.
"""
