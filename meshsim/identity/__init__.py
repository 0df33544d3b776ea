"""Who a workload is, and why another should believe it: SPIFFE identities for the mesh.

Nouns of this room:

- *SPIFFE ID*: the name of a workload, a URI within a *trust domain*;
- *X.509-SVID*: a certificate that carries one SPIFFE ID, as cheap facts (`Svid`) or as real DER (`Material`);
- *authority*: a certification authority of one trust domain; it issues SVIDs and mints their material on demand;
- *trust bundle*: the authorities that a verifier believes for one trust domain, and the serials it does not;
- *bundle document*: a trust bundle as JSON, as trust domains hand theirs to each other.

What stays out: when certificates are issued and rotated, how they reach a proxy, and what TLS does with them.
"""
