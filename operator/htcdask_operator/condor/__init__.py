"""HTCondor, behind one port.

port         what the operator asks, and `errors`, how it fails
client       the port on a real access point: only our own jobs (`constraints`), the token, ads -> `jobs`
process      a child process with a deadline for each request; `wire` is what the two say to each other
agent/       what runs in the child: the only importer of htcondor2
worker/      what runs on the execute node
"""
