"""TLS 1.3 as sans-IO endpoints: a model that always drives, and OpenSSL riding along to prove it right.

Nouns of this room:

- *settings*: what one end of a listener or upstream is configured to speak;
- *side*: settings together with the identity, trust bundles and ticket key that an end has at one moment;
- *flight*: what one end sends before it must wait for the other (RFC 8446 section 2), with its nominal size;
- *step*: what an end does when it starts or receives a flight: flights to send, CPU operations, an outcome;
- *engine*: the real OpenSSL connection over memory buffers that rides along at real fidelity;
- *oracle*: a whole handshake between two engines at once, compared with its prediction;
- *operation*: a named piece of CPU work that a cost profile prices.

What stays out: sockets, clocks (a step is told its node's epoch time), prices of operations, links, and everything that
is carried inside the encrypted records.
"""
