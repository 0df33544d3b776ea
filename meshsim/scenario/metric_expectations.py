"""Scenario models of bounds on metrics, and which metrics there are."""

from __future__ import annotations

from pydantic import model_validator

from meshsim.scenario.bounds import CountBound, DurationBound, RateBound, ShareBound
from meshsim.scenario.fields import Model, Name


class MetricExpectation(Model):
    """Bounds on metrics of the requests that match all of its filters."""

    slice: Name | None = None
    """Only requests of this slice. Default: all."""
    service: Name | None = None
    """Only requests to this service, and its own handshakes as server, decisions, certificates and tokens. Default:
    all."""
    source: Name | None = None
    """Only requests of this flow. Default: all."""
    during: Name | None = None
    """Only requests meant to be sent in this phase, or while this fault lasts. Default: the whole run."""
    latency_mean: DurationBound | None = None
    """Mean latency of answered requests (outcome ok)."""
    latency_p50: DurationBound | None = None
    """Median latency of answered requests."""
    latency_p95: DurationBound | None = None
    """95th percentile of the latency of answered requests."""
    latency_p99: DurationBound | None = None
    """99th percentile of the latency of answered requests."""
    latency_p999: DurationBound | None = None
    """99.9th percentile of the latency of answered requests."""
    latency_max: DurationBound | None = None
    """Largest latency of answered requests."""
    success_rate: ShareBound | None = None
    """Answered requests over all requests."""
    within_budget: ShareBound | None = None
    """Requests answered within their slice's budget over all requests."""
    denied: CountBound | None = None
    """Requests denied by policy."""
    timeouts: CountBound | None = None
    """Requests that timed out."""
    failures: CountBound | None = None
    """Requests with any outcome but ok."""
    not_admitted: CountBound | None = None
    """Requests of devices whose flow's bit rate the cell had refused to guarantee."""
    requests: CountBound | None = None
    """Requests."""
    requests_per_s: RateBound | None = None
    """Requests per second of the phase or run."""
    retries: CountBound | None = None
    """Attempts after the first, of the clients' sidecars."""
    handshakes: CountBound | None = None
    """TLS handshakes established."""
    handshakes_full: CountBound | None = None
    """TLS handshakes established without a ticket."""
    handshakes_resumed: CountBound | None = None
    """TLS handshakes established with a ticket."""
    resumed_share: ShareBound | None = None
    """TLS handshakes established with a ticket over all that were established."""
    handshakes_refused: CountBound | None = None
    """TLS handshakes refused."""
    handshake_p50: DurationBound | None = None
    """Median time of established handshakes, TCP set-up not counted."""
    handshake_p99: DurationBound | None = None
    """99th percentile of the time of established handshakes."""
    handshake_cpu: DurationBound | None = None
    """CPU time of both ends of all handshakes, whatever their outcome."""
    radio_within_budget: ShareBound | None = None
    """Packets that kept the radio part of their delay budget over all packets sent by radio, handshakes' too."""
    packet_error_rate: ShareBound | None = None
    """Packets that count as lost on the air over those within burst volume and guaranteed bit rate."""
    node_utilisation_mean: ShareBound | None = None
    """CPU time used over CPU time available, of all nodes that are up together."""
    node_utilisation_max: ShareBound | None = None
    """The same of the busiest node in the busiest sampling interval."""
    certificates_issued: CountBound | None = None
    """Certificates put in place, first ones and those that replaced others."""
    certificates_rotated: CountBound | None = None
    """Certificates put in place of others."""
    certificates_expired: CountBound | None = None
    """Certificates that ended while they were in use."""
    bundle_delay_max: DurationBound | None = None
    """Longest time from sending a trust bundle until the last proxy had it that got it."""
    issuing_failures: CountBound | None = None
    """Attempts to get a certificate that failed."""
    issuer_queue_max: CountBound | None = None
    """Most requests that waited for the issuer when another came."""
    issuer_wait_max: DurationBound | None = None
    """Longest wait for the issuer's turn."""
    tokens_fetched: CountBound | None = None
    """Tokens that their issuers' endpoints gave."""
    token_failures: CountBound | None = None
    """Attempts to get a token that failed."""
    token_time_p50: DurationBound | None = None
    """Median time from the need for a token to having it, all attempts together."""
    token_time_p99: DurationBound | None = None
    """99th percentile of the same."""
    token_time_max: DurationBound | None = None
    """Longest of the same."""
    issue_time_p50: DurationBound | None = None
    """Median time from the need for a certificate to having it, all attempts together."""
    issue_time_p99: DurationBound | None = None
    """99th percentile of the same."""
    issue_time_max: DurationBound | None = None
    """Longest of the same."""
    onboarding_p50: DurationBound | None = None
    """Median time from a workload's start to its place in the mesh, all attempts together."""
    onboarding_p99: DurationBound | None = None
    """99th percentile of the same."""
    onboarding_max: DurationBound | None = None
    """Longest of the same."""
    requests_exposed: CountBound | None = None
    """Requests whose answer told of the mesh by its header fields (mesh.http.proxy_headers)."""
    decisions_failed: CountBound | None = None
    """Decisions that no policy made because the authorizer did not answer (mesh.policy.authorizer)."""
    decisions_wrongly_allowed: CountBound | None = None
    """Decisions that allowed what the newest policies would not have allowed."""
    decisions_wrongly_denied: CountBound | None = None
    """Decisions that denied what the newest policies would not have denied."""

    bundles_taken: CountBound | None = None
    """Bundles of other trust domains that were fetched and new."""
    bundles_refused: CountBound | None = None
    """Bundles of other trust domains that came and were not believed."""
    bundles_stale: CountBound | None = None
    """Times that a bundle became stale, because fetches have brought nothing."""
    bundle_fetches_failed: CountBound | None = None
    """Fetches of bundles without an answer."""
    bundle_lag_max: DurationBound | None = None
    """Longest time that a bundle had been there when it was taken."""
    handshakes_refused_across: CountBound | None = None
    """TLS handshakes between trust domains that were refused."""

    @model_validator(mode="after")
    def _has_metrics(self) -> MetricExpectation:
        if not self.metrics():
            raise ValueError("no metric is expected; expected one or more, such as latency_p99 or success_rate")
        for names, keys, what in _REFUSED_FILTERS:
            filters = [key for key in keys if getattr(self, key) is not None]
            bounded = [name for name in names if getattr(self, name) is not None]
            if filters and bounded:
                raise ValueError(f"{bounded[0]} {what}; expected no {' and no '.join(filters)}")
        return self

    def metrics(self) -> dict[str, DurationBound | ShareBound | RateBound | CountBound]:
        """The metrics that are bounded, by name."""
        return {name: getattr(self, name) for name in METRIC_NAMES if getattr(self, name) is not None}


METRIC_NAMES = tuple(
    name for name in MetricExpectation.model_fields if name not in ("slice", "service", "source", "during")
)
"""Metrics that an expectation can bound; ``analysis/metrics.py`` computes each."""


RADIO_METRIC_NAMES = ("radio_within_budget", "packet_error_rate")
"""Those that count packets on the air, which belong to a slice and to no service or flow."""


BUNDLE_METRIC_NAMES = (
    "bundles_taken",
    "bundles_refused",
    "bundles_stale",
    "bundle_fetches_failed",
    "bundle_lag_max",
)
"""Those about bundles of other trust domains, which belong to no slice, service or flow."""


NODE_METRIC_NAMES = ("node_utilisation_mean", "node_utilisation_max")
"""Those about nodes, which all slices, services and flows share."""


CERTIFICATE_METRIC_NAMES = tuple(
    name
    for name in METRIC_NAMES
    if name.startswith(("certificates_", "bundle_delay_", "issuing_", "issuer_", "issue_", "onboarding_"))
)
"""Those about certificates, which belong to workloads and to no slice or flow."""


ISSUANCE_METRIC_NAMES = tuple(
    name for name in CERTIFICATE_METRIC_NAMES if not name.startswith(("certificates_", "bundle_"))
)
"""Those of them for which there has to be an issuer."""


TOKEN_METRIC_NAMES = tuple(name for name in METRIC_NAMES if name.startswith(("tokens_", "token_")))
"""Those about tokens that are fetched, which belong to workloads as well; for them there has to be an endpoint."""


DECISION_METRIC_NAMES = tuple(name for name in METRIC_NAMES if name.startswith("decisions_"))
"""Those about decisions of policy, which belong to called services and to no slice or flow."""


OF_WORKLOADS = frozenset(
    (
        *(name for name in METRIC_NAMES if name.startswith("handshake") or name == "resumed_share"),
        *(*CERTIFICATE_METRIC_NAMES, *TOKEN_METRIC_NAMES, *DECISION_METRIC_NAMES),
    )
)
"""Those that a service has whoever calls it, though it may be other services alone and no flow."""


_REFUSED_FILTERS: tuple[tuple[tuple[str, ...], tuple[str, ...], str], ...] = (
    (RADIO_METRIC_NAMES, ("service", "source"), "counts the packets of slices"),
    (NODE_METRIC_NAMES, ("slice", "service", "source"), "is about nodes"),
    (("bundle_delay_max",), ("service",), "is about all proxies"),
    (CERTIFICATE_METRIC_NAMES, ("slice", "source"), "is about certificates of workloads"),
    (TOKEN_METRIC_NAMES, ("slice", "source"), "is about tokens of workloads"),
    (DECISION_METRIC_NAMES, ("slice", "source"), "is about decisions of called services"),
    (BUNDLE_METRIC_NAMES, ("slice", "service", "source"), "is about trust domains"),
)
"""Metrics, the filters that mean nothing to them, and why."""
