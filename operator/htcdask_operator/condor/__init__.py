"""HTCondor, behind one port.

port        what the operator asks, and `errors`, how it fails
agent       the port on a real access point: ours-only constraints, the token, plain attributes -> `Job`
private     the folder with the token and the children's files
process     a child process with a deadline for each request; `serve` is what runs in it, `wire` what they say
schedd      the child's side, the only importer of htcondor2; `sandbox` for files that come and go
worker/     what runs on the execute node
"""
