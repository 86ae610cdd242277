"""The agent's process (`python -m htcdask_operator.condor.agent`): nobody else imports htcondor2.

__main__     a question a line, an answer a line
schedd       what is asked of the access point   collector   what the pool's collector knows
submit_language  what HTCondor understands of a description, before it is sent
error_texts  what its errors say, and its refusals, which are a site's own words
classads     its answers as plain values   sandbox    files that come and go
analysis     why a job has no slot, clause by clause (`clauses`)   fair_share   who is served before it
negotiator   whether anybody matches
refusals     what the slots say to it   slot_ads   one of them   sifted, apart   strangers' ads, in a child
"""
