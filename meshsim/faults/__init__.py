"""What goes wrong, as data: nothing in this room acts.

A *fault* is one entry of the scenario. An *intervention* is one thing that must be done to the world at one instant
because of a fault: cut a link, crash a node, add latency, and undo it. A fault *kind* is one module with a ``plan``
function, listed in ``kinds.KINDS``.

Not here: carrying interventions out and counting what they touched (``world/``).
"""
