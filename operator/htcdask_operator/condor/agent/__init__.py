"""The agent's process (`python -m htcdask_operator.condor.agent`): the only importer of htcondor2.

__main__     a question a line, an answer a line
schedd       what is asked of the access point
classads     its answers as plain values   sandbox    files that come and go
"""
