"""The row type of the table of policy decisions."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from meshsim.telemetry.later import LATER


class DecisionRow(msgspec.Struct, frozen=True, gc=False):
    """One policy decision by the called side's sidecar."""

    t_ns: Annotated[int, Meta(description="When it took effect.")]
    call_id: Annotated[int, Meta(description="The call it was about.")]
    engine: Annotated[str, Meta(description="Policy engine.")]
    policy_version: Annotated[
        str, Meta(description="Version (hash) of the policy set that decided; empty if none did.")
    ]
    source: Annotated[str, Meta(description="Calling service or fleet.")]
    destination: Annotated[str, Meta(description="Called service.")]
    method: Annotated[str, Meta(description="HTTP method.")]
    path: Annotated[str, Meta(description="HTTP path.")]
    allowed: Annotated[bool, Meta(description="The decision.")]
    rule: Annotated[
        str,
        Meta(
            description="Id of the rule that decided; `default-deny` or `default-allow` if none matched; "
            "`failed-closed` or `failed-open` if the authorizer did not answer."
        ),
    ]
    cached: Annotated[
        bool, Meta(description="Whether the sidecar's simulated decision cache answered (mesh.policy.cache).")
    ]
    wrongly: Annotated[
        str,
        Meta(
            description="allowed or denied, where the sidecar held policies that had been changed, or got no answer "
            "from the authorizer, and the newest policies decide otherwise; else empty.",
            extra=LATER,
        ),
    ] = ""
    shadow: Annotated[
        str,
        Meta(
            description="allowed or denied, where the policies on trial (mesh.policy.shadow) would decide otherwise; "
            "else empty.",
            extra=LATER,
        ),
    ] = ""
    dry_run: Annotated[
        str,
        Meta(
            description="Rule by which a policy that says of itself that it is on trial (Istio's dry-run) would have "
            "denied it; else empty.",
            extra=LATER,
        ),
    ] = ""
    failure: Annotated[
        str,
        Meta(
            description="Why the authorizer (mesh.policy.authorizer) did not answer, so that no policy decided but its "
            "`on_failure`: timeout, down or overloaded; else empty.",
            extra=LATER,
        ),
    ] = ""
    refused_by: Annotated[
        str,
        Meta(
            description="RequestAuthentications of Istio that refuse the request's token, separated by commas, while "
            "`rule` says why; empty where no token is refused, or a service's own `request_authentication` does it.",
            extra=LATER,
        ),
    ] = ""
    removed: Annotated[
        str,
        Meta(
            description="Names of the request's header fields that the called sidecar took off before policies saw "
            "them: fields about one hop, forged ones (mesh.http); else empty.",
            extra=LATER,
        ),
    ] = ""
