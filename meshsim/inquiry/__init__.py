"""Policies asked without a run: one question, a list of cases, or everything that can be told apart.

A *subject* is what is asked about: an engine with its policies, the workloads that may call, the services that may be
called, and how each port takes mutual TLS. A *caller* is a workload with the identity that it proves, or one that
proves none. A *request* is a question as a person puts it, with short names. A *class* of values is a set that no
policy can tell apart; its *witness* is one of them. The *constants* of a policy are what it compares with; the classes
follow from them. A *matrix* holds the decisions on one question of every combination of classes; a *flip* is one that
two sets of policies decide differently. A *case* is a request with the decision that its author wants.

Not here: what a decision costs, and anything that moves in time.
"""
