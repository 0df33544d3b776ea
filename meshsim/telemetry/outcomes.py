"""How requests and calls end."""

from __future__ import annotations

REQUEST_OUTCOMES = (
    *("ok", "denied", "timeout", "tls-refused", "unreachable", "reset", "failed", "not-admitted"),
    *("aborted", "overflow", "unrouted", "no-token", "no-waypoint"),
)
"""Every request and every call ends in exactly one of these.

The statuses are those with which proxies that read HTTP tell of it; where none does, there is none (`NO_STATUS`).
ok: answered with status 200. denied: a policy said no (403; 503 where the connection is closed in place of an answer,
as by ztunnel), or the token (401) or the request itself was refused (400; 431, if its header
fields take too much). timeout: no answer within the caller's timeout (504).
tls-refused: no connection, because a TLS handshake was refused (503). unreachable: no TCP connection or no healthy
endpoint (503). reset: the connection broke before the answer (503). failed: the called service answered with an error
because something it needed failed (502). not-admitted: its cell had refused to guarantee the flow's bit rate, so that
it was not sent (503); a request only. aborted: a route answered it on purpose, with the status that the route says.
overflow: a limit of `mesh.destinations` was reached (503). unrouted: the service has routes, and none matches (404).
no-token: the caller had no token from its issuer's endpoint and does not send without it (401).
no-waypoint: the waypoint of the service could not be reached, or was lost before it had answered (503).
"""
NO_STATUS = 0
"""Status of what got no answer where no proxy of the caller's reads HTTP, ztunnel or a sidecar on a port without HTTP:
a connection that was closed, reset or never came about, or no answer in time. Envoy's access log has 0 there, too."""
LATER_OUTCOMES = frozenset({"no-token", "no-waypoint"})
"""Those that came later than the others: summaries count them where there are any."""
