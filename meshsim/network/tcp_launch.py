"""What a TCP sender had sent before anybody looked at its segments."""

from __future__ import annotations

import msgspec

from meshsim.network.tcp_sender import Runs, Sender
from meshsim.network.tcp_window import NO_LIMIT


def launch(sender: Sender, size_bytes: int, segments: int, now_ns: int) -> Runs:
    """Append bytes to the stream, or its end if they are none, that are sent at once whatever the window says.

    They are cut into as many ``segments``, or into full ones if that is 0.
    """
    parameters, window = sender.parameters, sender.window
    if segments and -(-size_bytes // parameters.segment_bytes) != segments:
        cut_bytes = max(1, -(-size_bytes // segments))
        sender.parameters = msgspec.structs.replace(parameters, segment_bytes=cut_bytes, aggregated_segments=1)
    sender.last_sent_ns = now_ns  # whoever sent it has seen to idle times
    allowed, window.segments = window.segments, NO_LIMIT
    runs = sender.write(size_bytes, now_ns) if size_bytes else sender.finish(now_ns)
    window.segments = allowed
    window.used(sender.in_flight)
    sender.parameters = parameters
    return runs
