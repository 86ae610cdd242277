"""HTCondor, behind one port.

port        what the operator asks, and `errors`, how it fails
agent       the port on a real access point: ours-only constraints, the token, plain attributes -> `Job`
process     a child process with a deadline for each request; `serve` is what runs in it
schedd      the child's side, the only importer of htcondor2
worker/     what runs on the execute node
"""
