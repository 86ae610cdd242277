"""A whole real site on one machine, for the demonstration and the tests: `python -m playground --help`.

General layout, bottom to top; each folder imports only those before it (`.importlinter` holds this):
build/ (programs and images, once, into the cache), node/ (one Kubernetes node in its own namespaces) and
condor/ (HTCondor alone, on loopback), site/ (all that runs on the node). cli.py is what a person types.
"""
