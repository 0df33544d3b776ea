"""Bundle endpoints: what the bundle of a trust domain says, who vouches for it, and what faults make of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from meshsim.identity.bundle_sizes import document_size_bytes, document_slack_bytes
from meshsim.identity.svid import SECOND_NS
from meshsim.identity.tokens import KEY_TYPES, kid_of, public_key
from meshsim.scenario.errors import InvariantViolation
from meshsim.scenario.units import PPM
from meshsim.sidecar.tls.prediction import HandshakeCase, predict
from meshsim.sidecar.tls.settings import TlsSettings, TlsSide
from meshsim.world.authorities import LOOK_NS, Authorities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshsim.identity.authority import Authority
    from meshsim.identity.bundle import TrustBundle
    from meshsim.identity.svid import Svid
    from meshsim.identity.tokens import Issuer
    from meshsim.scenario.federation import BundleEndpoint
    from meshsim.sidecar.tls.oracle import Oracle

ENDPOINT_PATH: Final = "bundle-endpoint"
"""Path of the SPIFFE ID of a bundle endpoint."""
Serves = Literal["nothing", "older", "empty", "malformed"]


class Published(msgspec.Struct, frozen=True):
    """What a bundle document says: facts of ``identity.bundle_document.BundleDocument``."""

    sequence: int | None
    refresh_hint_s: int | None
    authorities: frozenset[str]
    """``Authority.id`` of each. The keys of the trust domain's token issuers go with them."""
    since_ns: int
    """Since when it says so; not part of the document."""


class Endpoint:
    """The bundle endpoint of a trust domain. It knows at once what the authority does."""

    def __init__(
        self, authorities: Authorities, settings: BundleEndpoint, node: str, signers: tuple[Issuer, ...] = ()
    ) -> None:
        """``signers``: token issuers of the trust domain."""
        self._authorities = authorities
        self._settings = settings
        self._first = self.published()
        self._svid: Svid | None = None
        self._generation = 0
        self.node = node
        self.signers = signers
        self.faults: list[tuple[Serves, Callable[[], None]]] = []
        """What faults make it serve, and what is to be called each time that it does; the last one counts."""

    @property
    def spiffe_id(self) -> str:
        """SPIFFE ID of the endpoint, which lies in the trust domain that it serves."""
        return f"spiffe://{self._authorities.trust_domain}/{ENDPOINT_PATH}"

    @property
    def profile(self) -> str:
        """How it is authenticated."""
        return self._settings.profile

    @property
    def key_type(self) -> str:
        """Key type of the trust domain's authorities."""
        return self._authorities.identity.ca_key

    def published(self) -> Published:
        """Return the bundle as it is now."""
        settings = self._settings
        hint_ns = settings.refresh_hint_ns
        return Published(
            self._authorities.published if settings.sequence else None,
            None if hint_ns is None else hint_ns // 1_000_000_000,
            self._authorities.trusted,
            self._authorities.published_ns,
        )

    def serve(self) -> Published | None:
        """Return what who asks now is given; None for something that is no bundle. It must not be down."""
        now = self.published()
        if not self.faults:
            return now
        serves, touched = self.faults[-1]
        assert serves != "nothing", "nobody answers"
        served = {
            "older": self._first,
            "empty": msgspec.structs.replace(now, authorities=frozenset()),
            "malformed": None,
        }[serves]
        if served != now:
            touched()
        return served

    def answers(self) -> bool:
        """Say whether the endpoint's process is there; one that asks in vain is counted for the fault."""
        if not self.faults or self.faults[-1][0] != "nothing":
            return True
        self.faults[-1][1]()
        return False

    def begin(self, serves: Serves, touched: Callable[[], None]) -> None:
        """Have a fault decide what is served."""
        self.faults.append((serves, touched))
        if serves == "empty":
            self._authorities.publish()

    def end(self, serves: Serves) -> None:
        """End a fault; a bundle that was empty is filled again, which is another change of it."""
        self.faults = [fault for fault in self.faults if fault[0] != serves]
        if serves == "empty":
            self._authorities.publish()

    def side(self) -> TlsSide:
        """Return what the endpoint brings to a handshake; not what its own trust domain would not believe."""
        if self._svid is not None and self._svid.root.authority not in self._authorities.trusted:
            self.renew()
        settings = TlsSettings(mutual=False, resumption=False)  # servers ask for no certificate (section 5.2.2.3)
        return TlsSide(settings, self._svid, {}, ticket_key=self.spiffe_id)

    def renew(self) -> int | None:
        """Take a new certificate of the own trust domain; return in how long it is to be renewed, None for never.

        That is done as for workloads: at a part of its life, whoever signs by then. Nothing is taken of an authority
        that has ended, and nothing while the issuer is down: then it looks again after a while.
        """
        authority, now_ns = self._authorities.active, self._authorities.epoch_ns
        identity, issuer = self._authorities.terms, self._authorities.issuer
        if issuer is not None and not issuer.up:
            return LOOK_NS
        if now_ns >= authority.not_after_ns:
            return None
        begin_ns, end_ns = now_ns - identity.backdate_ns, now_ns + identity.svid_ttl_ns
        self._svid = authority.issue(self.spiffe_id, self.key_type, begin_ns, end_ns, self._generation, ENDPOINT_PATH)
        self._generation += 1
        if identity.rotate_at_ppm >= PPM:
            return None
        return max(SECOND_NS, (self._svid.not_after_ns - now_ns) * identity.rotate_at_ppm // PPM)


class Vouching:
    """Whether an endpoint is believed: predicted, and by OpenSSL too unless nothing is."""

    def __init__(self, oracle: Oracle | None, *, every_time: bool) -> None:
        self._oracle = oracle
        self._every_time = every_time
        self._seen: set[object] = set()

    def flaw(
        self, endpoint: Endpoint, bundles: Mapping[str, TrustBundle], client_clock_ns: int, server_clock_ns: int
    ) -> str | None:
        """Return why who has these bundles refuses the endpoint, or None. Raises InvariantViolation."""
        case = HandshakeCase(
            client=TlsSide(TlsSettings(resumption=False), None, bundles),
            server=endpoint.side(),
            expected_peers=frozenset((endpoint.spiffe_id,)),
            client_clock_ns=client_clock_ns,
            server_clock_ns=server_clock_ns,
        )
        prediction = predict(case)
        if self._oracle is not None:
            from meshsim.sidecar.tls.oracle import case_key

            key = case_key(case, prediction)
            if self._every_time or key not in self._seen:
                self._seen.add(key)
                self._oracle.check(case, prediction)
        return None if prediction.refused is None else prediction.refused.reason


NOT_A_BUNDLE: Final = b'{"keys":{}}'
"""What an endpoint serves whose bundle is malformed."""
MALFORMED: Final = "'keys' is no list"
"""Why it is refused."""


class Documents:
    """What bundles say, and how much that is; held against real documents, written and read again, unless nothing is.

    A sequence number does not change the size by much, and how often a bundle is asked for does not change it at all.
    """

    def __init__(self, authorities: Mapping[str, Authority], *, real: bool) -> None:
        self._authorities = authorities
        self._real = real
        self._sizes: dict[tuple[Published | None, tuple[Issuer, ...]], int] = {}

    def size_bytes(self, published: Published | None, signers: tuple[Issuer, ...]) -> int:
        """Return the nominal size of a document; None for one that is no bundle. Raises InvariantViolation."""
        key = published, signers
        size_bytes = self._sizes.get(key)
        if size_bytes is None:
            if published is None:
                size_bytes = len(NOT_A_BUNDLE)
            else:
                roots = [self._authorities[name].issuers[0] for name in sorted(published.authorities)]
                kinds = [KEY_TYPES[signer.algorithm] for signer in signers for _ in roots]
                size_bytes = document_size_bytes(roots, kinds, published.sequence, published.refresh_hint_s)
            self._sizes[key] = size_bytes
            if self._real:
                self._check(published, signers, size_bytes)
        return size_bytes

    def _check(self, published: Published | None, signers: tuple[Issuer, ...], size_bytes: int) -> None:
        """Raise InvariantViolation if a real document does not say what it is taken to say, or is of another size."""
        from meshsim.identity import bundle_document as real

        if published is None:
            try:
                real.read_bundle(NOT_A_BUNDLE)
            except real.BundleDocumentError as error:
                if str(error) == MALFORMED:
                    return
            raise InvariantViolation("a malformed bundle is not refused as it should be")
        certificates = {self._authorities[name].root().certificate: name for name in sorted(published.authorities)}
        keyed = [signer.keyed(name) for signer in signers for name in sorted(published.authorities)]
        jwt_keys = tuple(real.JwtKey(kid_of(one), public_key(one)) for one in keyed)
        document = real.BundleDocument(tuple(certificates), published.sequence, published.refresh_hint_s, jwt_keys)
        written = real.write_bundle(document)
        read = real.read_bundle(written)
        found = frozenset(certificates[certificate] for certificate in read.certificates)
        says = Published(read.sequence, read.refresh_hint_s, found, published.since_ns)
        if says != published or [key.kid for key in read.jwt_keys] != [key.kid for key in jwt_keys]:
            raise InvariantViolation(f"a bundle document says {read!r}, and not {published!r}")
        slack = document_slack_bytes(self._authorities[name].issuers[0] for name in published.authorities)
        if abs(len(written) - size_bytes) > slack:
            raise InvariantViolation(f"a bundle document has {len(written)} bytes, not {size_bytes} +- {slack}")
