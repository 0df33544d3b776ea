"""A token that a person has, put into a request where the called service looks for it."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

from meshsim.identity.token_places import BEARER, put
from meshsim.inquiry.placing import looks_first, shown, spot_of
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import Callee
from meshsim.scenario.token_reasons import EXPIRED, NOT_YET_VALID


def carrying(request: Request, callee: Callee) -> tuple[Request, str]:
    """The request with its token written out, and a note for people where that is not at the usual place."""
    if request.token is None:
        return request, ""
    if request.token_at is None:
        place = looks_first(callee, _claims(request.token)) or BEARER
    else:
        place = spot_of(request.token_at, callee).place or BEARER
    path, question_mark, query = request.path.partition("?")
    text = quote(request.token) if place.kind == "param" else request.token
    fields = tuple((name.lower(), value) for name, value in request.headers)
    headers, target = put(place, text, fields, f"{question_mark}{query}")
    note = "" if place == BEARER else f"the token is in {shown(place)}"
    changed = msgspec.structs.replace(request, headers=headers, path=f"{path}{target}", token=None, token_at=None)
    return changed, note


def _claims(text: str) -> dict[str, object]:
    import jwt

    try:
        return dict(jwt.decode(text, options={"verify_signature": False}))
    except jwt.PyJWTError:
        return {}


def clock_note(reason: str, clock_s: int) -> str:
    """By which clock a token is too old or too young, for people; empty where that was not it."""
    if reason not in (EXPIRED, NOT_YET_VALID):
        return ""
    return f"the clock says {datetime.fromtimestamp(clock_s, UTC):%Y-%m-%dT%H:%M:%SZ}; --time tells another instant"
