"""The agent's process (`python -m htcdask_operator.condor.agent`): nobody else imports htcondor2.

__main__     a question a line, an answer a line
schedd       what is asked of the access point
submit_language  what HTCondor understands of a description, before it is sent
classads     its answers as plain values   sandbox    files that come and go
analysis     why a job has no slot, clause by clause (`clauses`)   fair_share   who is served before it
"""
