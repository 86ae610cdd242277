"""HTCondor for the playground: its root file system, its configuration, and a pool without Kubernetes."""
