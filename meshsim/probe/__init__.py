"""The handshake probe: what one handshake costs over one path, without a scenario.

A *case* is one combination of group, key type, path and CPUs. Its *script* is what both ends say and compute: TCP's
connection set-up, the TLS flights with their nominal sizes and priced operations, one HTTP/2 request and its response.
A *sample* is one connection that carries the script. *Established* is when the client may send; *first byte* is when
the response begins to arrive. *Loss recovery* is what a sample took beyond the undisturbed course of its script.

Not here: how TCP behaves (``network/``), what flights hold (``sidecar/tls/``) and cost (``scenario/``), the command.
"""
