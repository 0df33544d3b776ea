"""The control plane: who is where, which configuration is current, and whom it still has to reach.

An *announcement* is one version of where services are. A *discovery* turns what the control plane knows of nodes into
announcements. A *placement* is what a scenario says: every replica, whether it is well or not.

Not here: how long a push travels and when a failure is noticed (``world/`` keeps time); what a sidecar does with it.
"""
