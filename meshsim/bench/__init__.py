"""The simulator's own speed, on one piece of work that others have been measured on too.

The *floor* is the fastest that this work gets in plain Python: a loop over a heap, written by hand. The *chain* is the
same work on the simulator's clock, links and cores. The *mesh* is the same network with a sidecar at each end, mutual
TLS, policy, accounts and tables. Speeds are told as ratios to the floor of the same run, because machines differ.

Not here: what operations cost on the machines that are simulated (``calibrate``).
"""
