"""The control plane: who is where, which configuration is current, who is issued certificates, and by whom.

An *announcement* is one version of where services are. A *discovery* turns what the control plane knows of nodes into
announcements, and *debounces* them. A *placement* is what a scenario says: every replica, whether it is well or not.

A *resource* is a part of the configuration as it is pushed, in the bytes that a proxy would read.

An *issuer* signs certificates; requests pass its limits and wait their turn in its *queue*. An *authority* signs for a
*term*, and another succeeds it.

Not here: how long a push travels and when a failure is noticed (``world/`` keeps time); what a sidecar does with it.
"""
