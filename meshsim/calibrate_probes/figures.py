"""What is made of raw times: the figures of a cost profile, each with the formula that derives it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from meshsim.calibrate_probes.timing import Round


class Figure(msgspec.Struct, frozen=True):
    """One figure of the profile: which raw times make it, and how."""

    name: str
    """The operation."""
    scales_with: str
    """The ratio that carries it to other CPUs."""
    method: str
    """What was timed, and what was taken off, in words."""
    formula: Callable[[Round], float]
    """The same in numbers: raw times (ns) of one round to the figure (ns)."""


def _calls(primitive: str, *operations: str) -> list[Figure]:
    names = [f"{primitive}.{operation}" for operation in operations]
    return [Figure(name, name, "cryptography, one call", partial(_raw, name=name)) for name in names]


def _exchange(curve: str) -> list[Figure]:
    """Both operations of ECDH on a curve as TLS pays them: keys encoded, read and checked on their way."""
    return [
        Figure(
            f"{curve}.{operation}",
            f"{curve}.{operation}",
            f"step of a resumed handshake with {curve}, less the same with X25519, plus x25519.{operation}",
            partial(_in_place_of_x25519, curve=curve, operation=operation, step=step),
        )
        for operation, step in (("keygen", "client_hello"), ("derive", "client_finish"))
    ]


def _in_place_of_x25519(raw: Round, curve: str, operation: str, step: str) -> float:
    return _more(raw, curve, step) + raw[f"x25519.{operation}"]


def _more(raw: Round, exchange: str, step: str) -> float:
    """What a step takes more with a key exchange than with X25519."""
    return raw[f"{exchange}/{step}"] - raw[f"resumed/{step}"]


def _aead(cipher: str) -> list[Figure]:
    method = "cryptography AEAD on 16 000 bytes, less the same on 1 byte"
    names = (f"{cipher}.seal", f"{cipher}.open")
    return [Figure(name, name, method, partial(_block_alone, name=name)) for name in names]


def _work(name: str, method: str, formula: Callable[[Round], float]) -> Figure:
    return Figure(name, "general-code", method, formula)


def _raw(raw: Round, name: str) -> float:
    return raw[name]


def _block_alone(raw: Round, name: str) -> float:
    return raw[f"{name}/block"] - raw[f"{name}/byte"]


def _block_copy(raw: Round) -> float:
    records = _block_alone(raw, "record.seal") + _block_alone(raw, "record.open")
    return (records - _block_alone(raw, "aes-128-gcm.seal") - _block_alone(raw, "aes-128-gcm.open")) / 2


def _binder(raw: Round) -> float:
    return raw["resumed/client_hello"] - raw["full/client_hello"]


def _ticket(raw: Round) -> float:
    return (raw["full/server_finish"] - raw["stateful/server_finish"]) / 2


def _signatures(raw: Round) -> float:
    """One's own, and both on the peer's certificate and on its handshake."""
    return raw["ecdsa-p256.sign"] + 2 * raw["ecdsa-p256.verify"]


def _certificate_work(raw: Round) -> float:
    """What a server does more in a full handshake than in a resumed one, signatures and tickets apart."""
    server = raw["full/server_flight"] + raw["full/server_finish"] - _ticket(raw)
    server -= raw["resumed/server_flight"] + raw["resumed/server_finish"] - _binder(raw)
    return server - _signatures(raw)


def _certificate_messages(raw: Round) -> float:
    """What a client does on top of that."""
    client = raw["full/client_finish"] - raw["resumed/client_finish"]
    return client - _signatures(raw) - _certificate_work(raw)


def _client_side(raw: Round, kind: str) -> float:
    return raw[f"{kind}/client_hello"] + raw[f"{kind}/client_finish"] + raw[f"{kind}/tickets"]


def _server_side(raw: Round, kind: str) -> float:
    return raw[f"{kind}/server_flight"] + raw[f"{kind}/server_finish"]


FIGURES: tuple[Figure, ...] = (
    *_calls("x25519", "keygen", "derive"),
    *_calls("ed25519", "sign", "verify"),
    *_exchange("p256"),
    *_exchange("p384"),
    *_calls("ecdsa-p256", "sign", "verify"),
    *_calls("ecdsa-p384", "sign", "verify"),
    *_calls("ecdsa-p521", "sign", "verify"),
    *_calls("rsa-2048", "sign", "verify"),
    *_calls("rsa-3072", "sign", "verify"),
    Figure(
        "ml-kem-768.keygen",
        "ml-kem-768.keygen",
        "ClientHello step with X25519MLKEM768, less the same with X25519",
        lambda raw: _more(raw, "ml-kem-768", "client_hello"),
    ),
    Figure(
        "ml-kem-768.parse",
        "ml-kem-768.encap",
        "server's flight with X25519MLKEM768, less the same with X25519 and an encapsulation",
        lambda raw: _more(raw, "ml-kem-768", "server_flight") - raw["ml-kem-768.encap"],
    ),
    *_calls("ml-kem-768", "encap", "decap"),
    Figure(
        "ml-kem-768.read",
        "ml-kem-768.decap",
        "client's last flight with X25519MLKEM768, less the same with X25519 and a decapsulation",
        lambda raw: _more(raw, "ml-kem-768", "client_finish") - raw["ml-kem-768.decap"],
    ),
    *_calls("ml-kem-1024", "keygen", "encap", "decap"),
    *_calls("ml-dsa-44", "sign", "verify"),
    *_calls("ml-dsa-65", "sign", "verify"),
    *_calls("ml-dsa-87", "sign", "verify"),
    *_aead("aes-128-gcm"),
    *_aead("aes-256-gcm"),
    *_aead("chacha20-poly1305"),
    _work(
        "tls13.client_hello",
        "ClientHello step of a full handshake, less x25519.keygen",
        lambda raw: raw["full/client_hello"] - raw["x25519.keygen"],
    ),
    _work(
        "tls13.hello_retry_request",
        "server's answer to a ClientHello without the group's key share",
        lambda raw: raw["hello_retry_request"],
    ),
    _work(
        "tls13.server_flight",
        "server's flight of a resumed handshake, less x25519.keygen, x25519.derive and the binder",
        lambda raw: raw["resumed/server_flight"] - raw["x25519.keygen"] - raw["x25519.derive"] - _binder(raw),
    ),
    _work(
        "tls13.client_finish",
        "client's last flight of a resumed handshake, less x25519.derive",
        lambda raw: raw["resumed/client_finish"] - raw["x25519.derive"],
    ),
    _work(
        "tls13.server_finish",
        "server's last step of a resumed handshake, less its one ticket",
        lambda raw: raw["resumed/server_finish"] - _ticket(raw),
    ),
    _work("tls13.psk_binder", "ClientHello step with a ticket, less the same without", _binder),
    _work("tls13.session_ticket", "half of what two sealed tickets take more than two stateful ones", _ticket),
    _work("tls13.session_ticket_store", "half of reading two tickets", lambda raw: raw["full/tickets"] / 2),
    _work("tls13.alert", "client reads a fatal alert in place of a ServerHello", lambda raw: raw["alert"]),
    _work(
        "x509.check",
        "certificate work of a server: full handshake less resumed one, less signatures",
        _certificate_work,
    ),
    _work(
        "tls13.certificate_messages",
        "the same of a client, less that of a server",
        _certificate_messages,
    ),
    _work("record.seal", "pyOpenSSL send and read out, 1 byte", lambda raw: raw["record.seal/byte"]),
    _work("record.open", "pyOpenSSL write in and receive, 1 byte", lambda raw: raw["record.open/byte"]),
    _work("record.copy", "16 000 bytes through a record less 1 byte, less the AEAD; mean of both ways", _block_copy),
    _work("tcp.message", "half of sending and receiving 1 KiB over loopback TCP", lambda raw: raw["tcp.both_ends"] / 2),
    _work("http2.request_response", "h2, a request and a response of 1 KiB, both ends", lambda raw: raw["http2"]),
)
"""Every operation of a profile, in the order of the file."""

CHECKS: tuple[Figure, ...] = (
    _work("full_client", "client side of a full mutual handshake", partial(_client_side, kind="full")),
    _work("full_server", "server side of a full mutual handshake", partial(_server_side, kind="full")),
    _work("resumed_client", "client side of a resumed handshake", partial(_client_side, kind="resumed")),
    _work("resumed_server", "server side of a resumed handshake", partial(_server_side, kind="resumed")),
)
"""Whole handshakes, by which sums of figures are checked."""
