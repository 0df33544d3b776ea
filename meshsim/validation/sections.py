"""Every section of the validation, in the document's order. To add one, write its function and name it here."""

from __future__ import annotations

from collections.abc import Callable

from meshsim.validation import bulk, bursts, drops, promises, queues, radio, shares
from meshsim.validation.closed_form import closed_form
from meshsim.validation.lost_packets import lost_packets
from meshsim.validation.published_handshakes import published_handshakes
from meshsim.validation.radio_measured import new_radio_measured
from meshsim.validation.section import Section
from meshsim.validation.tls_handshakes import tls_computing, tls_flights
from meshsim.validation.world_flights import world_flights
from meshsim.validation.world_handshakes import world_handshakes

SECTIONS: dict[str, Callable[[int], Section]] = {
    "m-m-1": queues.single_core,
    "m-m-4": queues.four_cores,
    "m-d-1": queues.link_of_equal_packets,
    "m-d-1-k": drops.dropped,
    "tandem": queues.links_in_tandem,
    "chain": queues.chain,
    "slices": shares.slices,
    "bursts": bursts.bursts,
    "radio-quantiles": radio.radio_quantiles,
    "radio-traces": radio.radio_traces,
    "new-radio": radio.new_radio,
    "new-radio-measured": new_radio_measured,
    "promises": promises.promises,
    "lost-packets": lost_packets,
    "closed-form": closed_form,
    "published-handshakes": published_handshakes,
    "world-handshakes": world_handshakes,
    "world-flights": world_flights,
    "bulk": bulk.bulk,
    "tls-flights": tls_flights,
    "tls-computing": tls_computing,
}
"""Each makes its section from a seed: the same one from the same seed."""
