"""The only room with a simulated clock: everything assembled and set going.

The *clock* is a SimPy environment with integer nanoseconds. A *host* is where a sidecar runs with its workload: a
*replica* of a service, or a *device* of a fleet. The *driver* carries out what sidecars command and charges what it
costs. A *connection* is both ends of a TCP connection and the way between; a *transfer* is one unit on its way over it.
A *wire* carries a connection at segment level, when something is the matter; else its units travel by arithmetic.
An *account* keeps where the time of one call went. A *handling* is a replica's work on one request.

Not here: what sidecars decide (``sidecar/``), how links delay (``network/``), files (``results/``), metrics.
"""
