"""Scenario models of tokens: signed JWTs that requests carry beside mutual TLS (RFC 7519, RFC 8705)."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag

from meshsim.scenario.fields import Duration, FromList, Model, Name, S, Share
from meshsim.scenario.headers import HeaderName
from meshsim.scenario.identity import Retry, Signing
from meshsim.scenario.policy import TrustDomain
from meshsim.scenario.units import PPM

Algorithm = Literal["ES256", "ES384", "EdDSA", "RS256"]
Audience = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,255}$")]
ClaimName = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")]
PARAMETER: Final = r"^[A-Za-z0-9._~-]{1,64}$"
COOKIE: Final = r"^[A-Za-z0-9!#$&'*+.^_|~-]{1,64}$"
ParameterName = Annotated[str, StringConstraints(pattern=PARAMETER)]
CookieName = Annotated[str, StringConstraints(pattern=COOKIE)]
Prefix = Annotated[str, StringConstraints(pattern=r"^([!-~][ !-~]{0,63})?$")]
Flaw = Literal["own", "none", "forged", "expired", "early", "unsigned", "confused", "other-audience", "other-issuer"]

LEEWAY_NS = 60 * S


class TokenEndpoint(Signing):
    """Where a token issuer is asked: a process on a node, reached over the network, with a queue and limits."""

    timeout_ns: Duration = Field(default=10 * S, alias="timeout", gt=0)
    """How long a holder waits for an answer. Default: 10 s."""
    retry: Retry = Retry()
    """When a holder asks again; what is said there of a certificate holds of its token."""
    margin_ns: Duration = Field(default=10 * S, alias="margin")
    """How long before its end a token is not sent any more. Default: 10 s, as golang.org/x/oauth2."""
    without_token: Literal["refuse", "send", "wait"] = "refuse"
    """What becomes of a request while its caller has no token that is good. refuse: its own sidecar answers 401
    (outcome no-token), as Envoy's credential injector. send: it goes without. wait: it waits for the token that is
    fetched, as client libraries do, until its time limit (then 504, outcome no-token). Default: refuse."""


class TokenIssuer(Model):
    """Who signs tokens."""

    issuer: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,255}$")] | None = None
    """What the claim iss says. Default: https://NAME.TRUST-DOMAIN."""
    trust_domain: TrustDomain | None = None
    """Trust domain that it signs JWT-SVIDs for: it has a key for each authority of that trust domain, signs with that
    of the active one, and is believed by the keys in the bundle that a verifier has of it. Default: none, it has one
    key, which everybody knows."""
    algorithm: Algorithm = "ES256"
    """Signature algorithm (RFC 7518, section 3.1; EdDSA RFC 8037). Default: ES256."""
    ttl_ns: Duration = Field(default=300 * S, alias="ttl", ge=2 * S)
    """How long a token is valid, whole seconds. Default: 300 s, as SPIRE's JWT-SVIDs."""
    renew_at_ppm: Share = Field(default=500_000, alias="renew_at", gt=0)
    """Part of its lifetime after which its holder has the next one; 100 %: when it ends. Default: 50 %."""
    endpoint: TokenEndpoint | None = None
    """Where tokens are fetched. Default: nowhere, a holder has them at once and always."""
    key_in_jwks: bool = False
    """Whether its key counts as one of those in the `jwks` of RequestAuthentications for it: what they hold are public
    keys, with which nobody can sign. Default: false, tokens are refused by a `jwks` that its own key is not in."""

    @property
    def renew_after_ns(self) -> int:
        """How long after its issue a token is replaced."""
        return self.ttl_ns * self.renew_at_ppm // PPM


class Tokens(Model):
    """Tokens of the mesh."""

    issuers: dict[Name, TokenIssuer] = Field(min_length=1)
    """Who signs them, by name."""
    leeway_ns: Duration = Field(default=LEEWAY_NS, alias="leeway")
    """How far a verifier lets its clock be off. Default: 60 s, as Envoy's JWT filter."""


class TokenPlace(Model):
    """Where a request carries a token: one of header, param and cookie."""

    header: HeaderName | None = None
    """Header field, in any case."""
    prefix: Prefix = ""
    """What stands before it in the header field, with its space, such as "Bearer ". Default: empty."""
    param: ParameterName | None = None
    """Parameter of the query."""
    cookie: CookieName | None = None
    """Cookie."""


class TokenHeader(Model):
    """Header field in which a token is looked for."""

    name: HeaderName
    """Its name, in any case."""
    prefix: Prefix = ""
    """What stands before the token, with its space. Default: empty."""


class ClaimHeader(Model):
    """Header field into which a claim is written."""

    header: HeaderName
    """Its name, in any case."""
    claim: ClaimName
    """Name of the claim; dots lead into mappings."""


class HeldToken(Model):
    """The token that a workload has, and puts on its requests."""

    issuer: Name
    """Who signs it, of mesh.tokens.issuers."""
    audiences: Annotated[tuple[Audience, ...], FromList, Field(max_length=16)] = ()
    """For whom it is (claim aud). Default: nobody in particular, and no such claim."""
    claims: dict[ClaimName, Any] = Field(default={}, max_length=32)
    """More claims, such as {groups: [drivers]}; at most 8192 characters as JSON. Default: none."""
    bound: bool = False
    """Whether it says whose certificate may present it (claim cnf with x5t#S256, RFC 8705). Default: false."""
    at: TokenPlace | None = None
    """Where requests carry it. Default: authorization, after Bearer."""


class TokenCheck(Model):
    """Which tokens a service accepts; as Istio's RequestAuthentication, bad ones are refused, missing ones let in."""

    issuers: Annotated[tuple[Name, ...], FromList, Field(min_length=1)]
    """Whose tokens, of mesh.tokens.issuers."""
    audiences: Annotated[tuple[Audience, ...], FromList] = ()
    """One of these must be in the token's aud. Default: any will do."""
    required: bool = False
    """Whether a request without a token is refused. Default: false; policies decide on requests without claims."""
    binding: Literal["ignored", "checked", "required"] = "checked"
    """ignored: cnf says nothing, as in Istio. checked: a bound token is refused with another certificate than its own.
    required: one that is not bound is refused, too. Default: checked."""
    from_headers: Annotated[tuple[TokenHeader, ...], FromList, Field(max_length=16)] = ()
    """Header fields in which it is looked for. Default: authorization, after Bearer, and the parameter access_token,
    unless one of these three names other places."""
    from_params: Annotated[tuple[ParameterName, ...], FromList, Field(max_length=16)] = ()
    """Parameters of the query in which it is looked for. Default: see from_headers."""
    from_cookies: Annotated[tuple[CookieName, ...], FromList, Field(max_length=16)] = ()
    """Cookies in which it is looked for. Default: see from_headers."""
    forward_original_token: bool = False
    """Whether an accepted token goes on to the workload. Default: false, it is taken off; only cookies stay."""
    output_payload_to_header: HeaderName | None = None
    """Header field into which the claims of an accepted token are written, in base64url; callers can't set it.
    Default: none."""
    output_claims_to_headers: Annotated[tuple[ClaimHeader, ...], FromList, Field(max_length=32)] = ()
    """The same for single claims: text, numbers and truth values as they are, others as JSON in base64. Default:
    none."""


class StolenToken(Model):
    """Somebody else's token."""

    stolen_from: Name
    """Fleet or service whose first member's token it is."""
    at: TokenPlace | None = None
    """Where requests carry it. Default: where its owner's do."""


def _presented_kind(value: Any) -> str:
    return "stolen" if isinstance(value, StolenToken | dict) else "flaw"


Presented = Annotated[
    Annotated[Flaw, Tag("flaw")] | Annotated[StolenToken, Tag("stolen")], Discriminator(_presented_kind)
]
"""What a flow or call puts on its requests."""


def token_key(presented: Flaw | StolenToken, *, holds: bool) -> str:
    """What a caller's wallet knows the presented token by; empty for none."""
    if isinstance(presented, StolenToken):
        return f"stolen {presented.stolen_from}"
    return "" if presented == "none" or (presented == "own" and not holds) else presented
