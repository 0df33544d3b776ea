"""One HTTP route of a VirtualService: which calls, where they go, what is injected."""

from __future__ import annotations

import re
from collections.abc import Mapping

from meshsim.scenario import units
from meshsim.scenario.manifest_reader import Value
from meshsim.scenario.manifests.cors import check_cors
from meshsim.scenario.manifests.destination_rules import Rules
from meshsim.scenario.manifests.draft import Draft
from meshsim.scenario.manifests.hosts import Hosts
from meshsim.scenario.manifests.values import (
    Notes,
    duration_ns,
    label_name,
    labels,
    number,
    only,
    percent_ppm,
    string_match,
    take,
)
from meshsim.scenario.positions import Path
from meshsim.scenario.words import expected, show

_NO_ANSWER = ("connect-failure", "reset", "tls-refused", "timeout")
RETRY_ON: Mapping[str, tuple[str, ...]] = {
    "5xx": (*_NO_ANSWER, "failed"),
    "gateway-error": (*_NO_ANSWER, "failed"),
    "reset": _NO_ANSWER,
    "reset-before-request": ("connect-failure",),
    "connect-failure": ("connect-failure",),
    "refused-stream": (),
    "retriable-4xx": (),
    "retriable-headers": (),
    "retriable-status-codes": (),
    "envoy-ratelimited": (),
    "http3-post-connect-failure": (),
    **dict.fromkeys(("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"), ()),
}
"""Envoy's conditions for a retry → outcomes of an attempt. Some never come about: no replica refuses a stream, none
answers with 409 or a gRPC status."""
_STATUS = {"502": ("failed",), "503": (), "504": (), "403": ()}
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
OF_SIDECARS = "gateways"
"""What a match has that holds at no gateway, until ``route_order`` has told them apart."""
_PSEUDO = ("uri", "scheme", "method", "authority")
_AUTHORITY = re.compile(r"[A-Za-z0-9._:-]{1,253}")
_PATH = re.compile(r'/[!"$-~]{0,1023}')


class RouteReader:
    """Reads routes of one VirtualService, each into a draft of its own, at the path ``route``."""

    def __init__(self, namespace: str, hosts: Hosts, rules: Rules, notes: Notes) -> None:
        self._namespace = namespace
        self._hosts = hosts
        self._rules = rules
        self._notes = notes
        self._draft = Draft()

    def read(self, entry: Value) -> Draft:
        """One entry of ``http``; mistakes are noted at their places."""
        self._draft = Draft()
        self._put((), {}, entry)
        fields = take(entry, "VirtualService.spec.http", self._notes)
        if "name" in fields and fields["name"].text():
            self._put(("name",), fields["name"].text(), fields["name"])
        if "match" in fields:
            items = fields["match"].items()
            if fields["match"].data == []:
                fields["match"].wrong("'match' is empty; expected a condition, or no match for every call")
            for index, value in enumerate(items):
                self._match(value, ("match", index))
        self._targets(fields.get("route"), entry)
        if "timeout" in fields:
            self._duration(("timeout",), fields["timeout"], least_ns=0)
        if "retries" in fields:
            self._retries(fields["retries"])
        if "fault" in fields:
            self._fault(fields["fault"])
        if "rewrite" in fields:
            self._rewrite(fields["rewrite"])
        if "corsPolicy" in fields:
            check_cors(fields["corsPolicy"], self._notes)
        return self._draft

    def _put(self, path: Path, data: object, value: Value) -> None:
        self._draft.put(("route", *path), data, value.place)

    def _duration(self, path: Path, value: Value, least_ns: int = 1_000_000) -> None:
        """A duration; one of zero says that there is none."""
        length_ns = duration_ns(value, least_ns)
        if length_ns:
            self._put(path, units.format_duration(length_ns), value)

    # Which calls

    def _match(self, value: Value, path: Path) -> None:
        self._put(path, {}, value)
        fields = take(value, "http.match", self._notes)
        if isinstance(value.data, dict) and not fields and not value.data:
            value.wrong("a match is empty; expected a condition, or no match for every call")
        for key, name in (("uri", "path"), ("method", "method"), ("authority", "authority")):
            if key in fields:
                self._text((*path, name), fields[key])
        if "ignoreUriCase" in fields and fields["ignoreUriCase"].flag() and "uri" in fields:
            self._put((*path, "ignore_case"), True, fields["ignoreUriCase"])
        for key, name in (("headers", "headers"), ("withoutHeaders", "without_headers"), ("queryParams", "query")):
            for field, wanted in fields[key].entries().items() if key in fields else ():
                if name == "query" or self._is_header(field, wanted):
                    found = string_match(wanted, self._notes, presence=True)
                    if found is not None:
                        self._put((*path, name, field), found, wanted)
        if "port" in fields:
            port = number(fields["port"], 1, 65_535)
            if port is not None:
                self._put((*path, "port"), port, fields["port"])
        if "sourceLabels" in fields:
            for key, label in labels(fields["sourceLabels"]).items():
                self._put((*path, "source_labels", key), label, fields["sourceLabels"].entries()[key])
        if "sourceNamespace" in fields:
            name = label_name(fields["sourceNamespace"], "a namespace")
            if name:
                self._put((*path, "source_namespace"), name, fields["sourceNamespace"])
        if "gateways" in fields:
            only(fields["gateways"], "mesh", "sidecars alone route calls")
            if fields["gateways"].data:  # none at all asks for nothing
                self._put((*path, OF_SIDECARS), True, fields["gateways"])

    def _text(self, path: Path, value: Value) -> None:
        found = string_match(value, self._notes)
        if found is not None:
            self._put(path, found, value)

    def _is_header(self, name: str, value: Value) -> bool:
        if name in _PSEUDO:
            value.wrong_key(f"Istio ignores {name!r} among headers; expected it as a condition of its own")
            return False
        if not _HEADER.fullmatch(name):
            value.wrong_key(f"{show(name)} is no name of a header field; expected one such as 'end-user'")
            return False
        return True

    # Where they go

    def _targets(self, value: Value | None, entry: Value) -> None:
        items = value.items() if value is not None else []
        if not items:
            refused = {"redirect", "directResponse", "delegate"} & set(
                entry.data if isinstance(entry.data, dict) else ()
            )
            if not refused and (value is None or value.data == []):
                entry.wrong("the route leads nowhere; expected 'route' with at least one destination")
            return
        index = 0
        weights: list[int] = []
        for item in items:
            if self._target(item, ("split", index), weights, alone=len(items) == 1):
                index += 1
        total = sum(weights)
        if value is not None and len(items) > 1 and len(weights) == len(items) and total not in (0, 100):
            place = f"{value.place.file}:{value.place.line}"
            self._notes.texts.append(
                f"the weights at {place} add up to {total}, not to 100: parts of {total}, as Istio"
            )

    def _target(self, item: Value, path: Path, weights: list[int], *, alone: bool) -> bool:
        fields = take(item, "http.route", self._notes)
        weight = number(fields["weight"], 0, 2**31 - 1) if "weight" in fields else 0
        if weight is not None:
            weights.append(weight)
        if "destination" not in fields:
            if isinstance(item.data, dict):
                item.wrong("'destination' is missing; expected it here: where calls go")
            return False
        inner = take(fields["destination"], "destination", self._notes)
        if "host" not in inner:
            if isinstance(fields["destination"].data, dict):
                fields["destination"].wrong("'host' is missing; expected it here: the service")
            return False
        found = self._hosts.meant(inner["host"], self._namespace, wildcard=False)
        if not found:
            return False
        self._put(path, {}, item)
        self._put((*path, "to"), found[0].key, inner["host"])
        if "subset" in inner:
            self._subset(inner["subset"], found[0].key, path)
        if "port" in inner:
            ports = take(inner["port"], "port", self._notes)
            port = number(ports["number"], 1, 65_535) if "number" in ports else None
            if "number" not in ports and isinstance(inner["port"].data, dict):
                inner["port"].wrong("'number' is missing; expected it here: the number of the port")
            if port is not None:
                self._put((*path, "port"), port, inner["port"])
        if weight is not None and not (alone and not weight):
            self._put((*path, "weight"), weight, fields.get("weight", item))
        return True

    def _subset(self, value: Value, service: str, path: Path) -> None:
        name, known = value.text(), self._rules.subsets(service)
        if known is not None and name in known:
            self._put((*path, "subset"), name, value)
        elif known is not None and isinstance(value.data, str):
            nothing = "expected one of its DestinationRule"
            value.wrong(f"no DestinationRule gives {service!r} a subset {show(name)}; {expected(name, known, nothing)}")

    # How

    def _retries(self, value: Value) -> None:
        fields = take(value, "retries", self._notes)
        attempts = number(fields["attempts"], 0, 100) if "attempts" in fields else 0
        if "attempts" not in fields and "perTryTimeout" not in fields and "retryOn" not in fields:
            return
        if attempts == 0 and len(fields) > 1:
            value.wrong(
                "there are no attempts, and yet conditions for them; expected attempts of 1 or more, or those alone"
            )
            attempts = None
        # A number that is wrong has a stand-in, so that all else is checked.
        self._put(("retries",), {"attempts": 1 if attempts is None else attempts}, value)
        if "perTryTimeout" in fields:
            self._duration(("retries", "attempt_timeout"), fields["perTryTimeout"], least_ns=0)
        if "retryOn" in fields and fields["retryOn"].text():
            self._retry_on(fields["retryOn"])
        if "retryIgnorePreviousHosts" in fields and not fields["retryIgnorePreviousHosts"].flag():
            fields["retryIgnorePreviousHosts"].wrong(
                "a retry goes to another replica if there is one; expected true, or no retryIgnorePreviousHosts"
            )

    def _retry_on(self, value: Value) -> None:
        outcomes: dict[str, None] = {}
        for word in (part.strip() for part in value.text().split(",")):
            if word in RETRY_ON:
                outcomes.update(dict.fromkeys(RETRY_ON[word]))
            elif re.fullmatch("[1-5][0-9][0-9]", word):
                outcomes.update(dict.fromkeys(("failed",) if word == "502" else ()))
                if word == "403":
                    value.wrong("denied calls are not tried again; expected no 403 in retryOn")
            else:
                value.wrong(f"{show(word)} is no condition for a retry; {expected(word, list(RETRY_ON))}")
        self._put(("retries", "retry_on"), list(outcomes), value)

    def _fault(self, value: Value) -> None:
        fields = take(value, "fault", self._notes)
        if not fields:
            value.wrong("a fault has neither delay nor abort; expected one of them, or both")
        if "delay" in fields:
            inner = take(fields["delay"], "fault.delay", self._notes)
            share = self._share(inner, fields["delay"])
            if "fixedDelay" not in inner:
                fields["delay"].wrong("'fixedDelay' is missing; expected it here: for how long")
            else:
                length_ns = duration_ns(inner["fixedDelay"])
                if share and length_ns:
                    delay = {"share": units.format_share(share), "fixed": units.format_duration(length_ns)}
                    self._put(("delay",), delay, fields["delay"])
        if "abort" in fields:
            inner = take(fields["abort"], "fault.abort", self._notes)
            share = self._share(inner, fields["abort"])
            if "httpStatus" not in inner:
                written = fields["abort"].data
                if isinstance(written, dict) and not {"grpcStatus", "http2Error"} & set(written):
                    fields["abort"].wrong("'httpStatus' is missing; expected it here: with which status")
                return
            status = number(inner["httpStatus"], 200, 599)
            if share and status:
                self._put(("abort",), {"share": units.format_share(share), "status": status}, fields["abort"])

    def _share(self, fields: dict[str, Value], whole: Value) -> int | None:
        """How many of the calls, in parts per million; a share of nothing is a mistake."""
        if "percentage" in fields:
            inner = take(fields["percentage"], "percentage", self._notes)
            if not isinstance(fields["percentage"].data, dict):
                return None
            at = inner.get("value", fields["percentage"])
            share = percent_ppm(inner["value"]) if "value" in inner else 0
        else:
            at = fields.get("percent", whole)
            share = percent_ppm(at) if "percent" in fields else 0
        if share == 0:
            at.wrong("no call is touched: without a percentage, or with 0, Istio injects nothing; expected more")
        return share

    def _rewrite(self, value: Value) -> None:
        fields = take(value, "rewrite", self._notes)
        if "uri" in fields:
            text = fields["uri"].text()
            if not _PATH.fullmatch(text):
                fields["uri"].wrong(f"{show(text)} is no path; expected one that begins with a slash")
            else:
                self._put(("rewrite", "path"), text, fields["uri"])
        if "authority" in fields:
            text = fields["authority"].text()
            if not _AUTHORITY.fullmatch(text):
                fields["authority"].wrong(f"{show(text)} is no authority; expected a host, with a port if need be")
            else:
                self._put(("rewrite", "authority"), text, fields["authority"])
        if not fields and isinstance(value.data, dict) and not value.data:
            value.wrong("a rewrite changes nothing; expected uri or authority")
