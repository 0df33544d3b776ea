"""A user's own Kubernetes and Istio manifests, made part of a scenario.

A *manifest* is a YAML file; an *object* is one of its documents: a Service, a Deployment, a VirtualService … The
*draft* is what all objects together say in a scenario's own words, each value with its place in a manifest; it is laid
under the scenario file, which says what no manifest can (nodes, work, calls, traffic) and has the last word.
Objects come as ``kubectl apply`` would take them: file after file, and the last one of a name holds.

Not here: how anything is carried out, and what policies decide: AuthorizationPolicies and RequestAuthentications are
handed on to the policy engine as they are.
"""
