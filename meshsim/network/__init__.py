"""What carries bytes: links, radio access, TCP and routes, with time as an argument.

A *packet train* is a run of segments sent together; hops act on it. A *hop* is one thing that a train crosses: a
*link direction* (queue, serialisation, propagation, jitter, loss) or the *radio access* of one device (its turn on
the air of a cell, then the access delay). A *medium* is what slices share by guarantee and priority: the air of a
cell, or a sliced link, one way. A *flow* is what a device with an admitted bit rate sends over a medium: it has a queue
of its own, a *place* for each packet among the rest of its slice, and is served before that from the slice's *reserve*
as long as its rate allows. A *route* is the list of link directions between two nodes that is quickest right
now. An *exchange* is both ends of a TCP connection at segment level; what surrounds it carries its packets. A *play* is
a *dialogue* (what both ends say in turn) carried by an exchange over a *path*; a *replay* tells an exchange what it has
missed.

Not here: the clock and events (``world/``), connections and what they carry, which fault strikes when (``faults/``).
"""
