"""What stands between a notebook and its workers, tried one part after the other: `doctor`.

`examination` is the list of checks and the one loop that runs them; `case` is what they share. Each check is
a function in the module of what it looks at: `installed`, `reach`, `gateway_answers`, `pool_api`, `proxy`,
`probe` and `versions`. It returns a sentence, or raises a `Fault` with its remedy. `http` asks within bounds,
`report` is what people read, `secrecy` what they do not, `method` is `gateway.doctor()`, and `command` is
`python -m htcdaskgateway doctor`.
"""
