"""Header fields as the called half hands them on: without what belongs to one hop, and without what may be forged."""

from __future__ import annotations

from typing import Final

import msgspec

Fields = tuple[tuple[str, str], ...]

CLIENT_CERT: Final = "x-forwarded-client-cert"
HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"})
"""Fields that are about one connection (RFC 9110, section 7.6.1), beside those that Connection names, and TE."""

_NO_CONTROLS: Final = {code: " " for code in (*range(0x20), 0x7F) if chr(code) != "\t"}
_SAYING: Final = ("SANITIZE_SET", "APPEND_FORWARD")
"""Modes in which a sidecar says whose certificate it has seen."""


class HeaderRules(msgspec.Struct, frozen=True):
    """What a sidecar does with the fields that it receives."""

    from_fleets: str
    """What becomes of X-Forwarded-Client-Cert, by Envoy's ``forward_client_cert_details``."""
    from_services: str
    certificate_fields: tuple[str, ...]
    """What is said in it of the caller's certificate."""
    identity_headers: tuple[str, ...]
    """Names that fleets can't set; a star at the end stands for any rest."""

    @property
    def says_who_calls(self) -> bool:
        """Whether X-Forwarded-Client-Cert is ever written here."""
        return not {self.from_fleets, self.from_services}.isdisjoint(_SAYING)

    def is_forged(self, name: str) -> bool:
        """Say whether a field of this name is not taken from a fleet."""
        return any(
            name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
            for pattern in self.identity_headers
        )


class Caller(msgspec.Struct, frozen=True):
    """Who has sent a request, as far as it is proved."""

    outside: bool
    """Whether it is a device of a fleet."""
    mutual: bool
    """Whether it has shown a certificate."""
    spiffe_id: str
    certificate_hash: str
    """SHA-256 of its certificate, in hexadecimal."""


def end_to_end(fields: Fields) -> Fields:
    """The fields that go farther than one hop (RFC 9110, section 7.6.1).

    Of ``te`` the word ``trailers`` stays, as in Envoy: HTTP/2 carries it, and gRPC asks for it.
    """
    ending = named(fields) | HOP_BY_HOP
    kept = []
    for name, value in fields:
        if name == "te":
            if "trailers" in options(value):
                kept.append((name, "trailers"))
        elif name not in ending:
            kept.append((name, value))
    return tuple(kept)


def named(fields: Fields) -> frozenset[str]:
    """The names that Connection says are about one hop."""
    return frozenset(option for name, value in fields if name == "connection" for option in options(value))


def as_read(value: str) -> str:
    """A value as its receiver reads it (RFC 9110, section 5.5): controls are spaces, none stand around it."""
    return value.translate(_NO_CONTROLS).strip(" \t")


def options(value: str) -> list[str]:
    """The words of a list in a field, in lower case."""
    return [word.strip().lower() for word in value.split(",") if word.strip()]


def removed(before: Fields, after: Fields) -> str:
    """The names of the fields that are gone or of which less is left, in one text; not those with something behind."""
    left = dict(after)
    return " ".join(name for name, value in before if name not in left or not f"{left[name]},".startswith(f"{value},"))


def kept(fields: Fields, rules: HeaderRules, *, outside: bool, mutual: bool) -> Fields:
    """The fields of a caller that are believed, names in lower case."""
    mode = rules.from_fleets if outside else rules.from_services
    forwards = mode == "ALWAYS_FORWARD_ONLY" or (mutual and mode in ("FORWARD_ONLY", "APPEND_FORWARD"))
    return tuple(
        (name, value)
        for name, value in end_to_end(fields)
        if (forwards if name == CLIENT_CERT else not (outside and rules.is_forged(name)))
    )


def received(fields: Fields, rules: HeaderRules, caller: Caller, own_id: str) -> Fields:
    """The fields as policies and the workload see them, with what this sidecar says of the caller's certificate."""
    found = kept(fields, rules, outside=caller.outside, mutual=caller.mutual)
    mode = rules.from_fleets if caller.outside else rules.from_services
    if not caller.mutual or mode not in _SAYING:
        return found
    said = {"By": own_id, "Hash": caller.certificate_hash, "Subject": '""', "URI": caller.spiffe_id}
    element = ";".join(f"{name}={said[name]}" for name in said if name in rules.certificate_fields)
    before = [value for name, value in found if name == CLIENT_CERT]
    others = tuple(field for field in found if field[0] != CLIENT_CERT)
    return (*others, (CLIENT_CERT, ",".join([*before, element])))
