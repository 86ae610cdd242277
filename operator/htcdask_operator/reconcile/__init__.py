"""One cluster's cycle, and when it runs.

loop         one task a cluster, and its backoff     turnstile   whose turn it is
cycle        one pass: observe, plan, perform, publish
observe      asks the three ports          perform    does what was planned: its `outcome`
publish      statuses and Events; `unpublished` is what waits for it
courtesies   what makes a status say more, beside the cycle    scheduler_pod  what that one waits for
announce     what many pools have at once
"""
