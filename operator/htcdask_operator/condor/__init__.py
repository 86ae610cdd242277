"""HTCondor, behind one port.

port         what the operator asks, and `errors`, how it fails
client       the port on a real `access_point`: our own jobs only (`constraints`)
token        the operator's, in its `private_folder`
description  what may be submitted     jobs, analyses   what it answers, as the core knows it
clocks       how far the access point's is ahead of ours
process      a child process with a deadline for each request; `wire` is what the two say to each other
agent/       what runs in the child: the only importer of htcondor2
worker/      what runs on the execute node
"""
