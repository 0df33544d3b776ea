"""A mesh proxy as a sans-IO object: events in, commands out, time as an argument, timers as a return value.

An *event* is one thing that happened to a sidecar; a *command* is one thing it wants done. A *call* is what a workload
asks its sidecar to do; an *attempt* is one try of it; a *template* describes calls that are alike. A *message* is an
HTTP request or response on the wire; a *unit* is a message or a TLS flight. The *outbound* half dials, pools, balances
and retries; the *inbound* half accepts, authenticates, has calls authorised and hands them to the workload.

Not here: how long anything takes, what carries the bytes, who decides a policy question, and the workload itself. The
same object runs in simulated time and on real sockets.
"""
