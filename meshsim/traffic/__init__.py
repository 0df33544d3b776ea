"""What the users ask for, as iterators and samplers over a generator that is passed in.

An *arrival process* yields the instants at which requests are meant to be sent; it never looks at answers. A *work
sampler* draws the CPU time of one request. A *plan* is what a service does for one request: its calls in order, with
those at the same time in one group.

Not here: sending anything, and where services run (``world/``).
"""
