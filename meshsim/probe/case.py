"""Cases of the probe, and what they come to."""

from __future__ import annotations

from typing import Final

import msgspec

from meshsim.analysis.numbers import show_duration
from meshsim.identity.svid import KEY_TYPES
from meshsim.network import tcp
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.scenario.words import nearest
from meshsim.sidecar.tls.settings import GROUPS

QUANTILES: Final = {"p25": 25, "p50": 50, "p75": 75, "p85": 85, "p95": 95, "p99": 99}
"""Names of the quantiles told, and their per cents."""

MAX_SAMPLES: Final = 10_000_000
MAX_CHAIN: Final = 5
MAX_ROUND_TRIP_NS: Final = 60 * tcp.S
LEAST_BANDWIDTH_BPS: Final = 1_000
"""At less, a packet of full size takes longer than a connection has patience: 12 s."""


class ProbeCase(msgspec.Struct, frozen=True):
    """One handshake to probe; times in nanoseconds. ``mistakes`` tells what cannot be carried out."""

    round_trip_ns: int
    """Propagation there and back, half of it each way."""
    loss: float = 0.0
    """Probability that a packet is lost, each way, independently; 0 to below 1."""
    group: str = "X25519MLKEM768"
    """Key exchange group."""
    key: str = "ecdsa-p256"
    """Key type of all certificates, those of authorities too."""
    chain: int = 1
    """Certificates that an end sends: its own, and intermediates between it and the root."""
    cpu: str = "reference"
    """The client's CPU, by its name in the cost profile."""
    server_cpu: str = ""
    """The server's CPU; empty: the client's."""
    mutual: bool = False
    """Whether the server asks the client for a certificate."""
    resumed: bool = False
    """Whether the client resumes a session instead of a full handshake."""
    samples: int = 5_000
    """Connections to make."""
    seed: int = 1
    """Seed of losses and timer phases; cases with the same seed meet the same losses."""
    bandwidth_bps: int = 1_000_000_000
    """Bandwidth each way, in bits per second."""
    linear_syn_timeouts: int = TcpParameters().linear_syn_timeouts
    """Repetitions of a SYN before its timeout doubles: 0 before Linux 6.5, 4 since."""
    cost_profile: str = "default"
    """Cost profile: ``default``, or a file."""

    def mistakes(self) -> list[str]:
        """Tell what cannot be carried out, and what would be right; the CPUs apart, which the cost profile knows."""
        wrong = []
        if not 0 < self.round_trip_ns <= MAX_ROUND_TRIP_NS:
            wrong.append(f"a round trip of {show_duration(self.round_trip_ns)}; expected more than 0 and at most 60 s")
        if not 0 <= self.loss < 1:
            wrong.append(f"a loss of {self.loss:.0%}; expected 0 % or more, and less than 100 %")
        if not 1 <= self.samples <= MAX_SAMPLES:
            wrong.append(f"{self.samples} samples; expected 1 to {MAX_SAMPLES}")
        if not 1 <= self.chain <= MAX_CHAIN:
            wrong.append(f"a chain of {self.chain} certificates; expected 1 to {MAX_CHAIN}")
        if self.bandwidth_bps < LEAST_BANDWIDTH_BPS:
            wrong.append(f"a bandwidth of {self.bandwidth_bps} bit/s; expected at least {LEAST_BANDWIDTH_BPS} bit/s")
        for what, name, known in (("group", self.group, GROUPS), ("key type", self.key, tuple(KEY_TYPES))):
            if name not in known:
                wrong.append(unknown(what, name, known))
        return wrong


def unknown(what: str, name: str, known: tuple[str, ...]) -> str:
    """Say that a name is not known, and which is."""
    near = nearest(name, known)
    meant = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(known)}"
    return f"unknown {what} {name!r}; {meant}"


class Times(msgspec.Struct, frozen=True):
    """All samples of one time since the first SYN, in nanoseconds."""

    sorted_ns: tuple[int, ...]
    """Samples that got there, in ascending order."""
    failed: int
    """Samples that never got there."""

    def quantile_ns(self, percent: int) -> int | None:
        """The nearest-rank quantile over all samples; None if more of them failed than that."""
        rank = -(-percent * (len(self.sorted_ns) + self.failed) // 100)
        return self.sorted_ns[max(rank, 1) - 1] if rank <= len(self.sorted_ns) else None

    @property
    def mean_ns(self) -> int | None:
        """The mean of the samples that got there."""
        return round(sum(self.sorted_ns) / len(self.sorted_ns)) if self.sorted_ns else None


class FlightSize(msgspec.Struct, frozen=True):
    """One flight of the handshake."""

    sender: str
    """``client`` or ``server``."""
    content: str
    """What it holds, such as ``ClientHello``."""
    size_bytes: int
    """Nominal size, TLS records included."""


class ProbeResult(msgspec.Struct, frozen=True):
    """What a case comes to; times in nanoseconds."""

    case: ProbeCase
    server_cpu: str
    """The server's CPU, whether named or the client's."""
    established: Times
    """From connect to established, as the client sees it."""
    first_byte: Times
    """From connect to the first byte of the response."""
    flights: tuple[FlightSize, ...]
    """In order, session tickets included."""
    bytes_sent: int
    """TLS bytes of the handshake from client to server."""
    bytes_received: int
    """TLS bytes of the handshake from server to client, session tickets included."""
    round_trips: int
    """Round trips until established when nothing is lost: connection set-up, handshake, windows that are too small."""
    cpu_client_ns: int
    """The client's computing in the handshake: until established, and for the session tickets after it."""
    cpu_server_ns: int
    """The server's computing in the handshake."""
    network_ns: int
    """Of the time to established when nothing is lost, what is neither end's computing."""
    loss_recovery_ns: int
    """Mean time that losses added until established, over the samples that got there."""
    critical_client_ns: int
    """The client's computing that established waits for."""
    critical_server_ns: int
    """The server's computing that established waits for."""
    request_bytes: int
    """The request after the handshake, a GET without a body, sealed."""
    response_bytes: int
    """Its response, sealed: headers and a body of 1 KiB."""
