"""The built-in functions of Rego: which there are, which cannot be used here and why, and which are mended.

Names and numbers of arguments are those that the engine itself gives (regopy 1.5.2, which is rego-cpp); a test holds
them to it. Others of Open Policy Agent are not in the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_BY_ARITY: Final = (
    "time.now_ns",
    "abs ceil floor round count max min product sort sum array.reverse array.flatten intersection union object.keys "
    "object.union_n lower strings.reverse trim_space upper regex.is_valid glob.quote_meta bits.negate to_number "
    "units.parse units.parse_bytes is_array is_boolean is_null is_number is_object is_set is_string type_name "
    "base64.decode base64.encode base64.is_valid base64url.decode base64url.encode base64url.encode_no_pad hex.decode "
    "hex.encode json.is_valid json.marshal json.unmarshal urlquery.decode urlquery.decode_object urlquery.encode "
    "urlquery.encode_object io.jwt.decode time.clock time.date time.format time.parse_duration_ns "
    "time.parse_rfc3339_ns time.weekday crypto.md5 crypto.sha1 crypto.sha256 crypto.parse_private_keys "
    "crypto.x509.parse_certificate_request crypto.x509.parse_certificates crypto.x509.parse_rsa_private_key walk "
    "uuid.parse semver.is_valid",
    "numbers.range array.concat and minus or json.filter json.patch json.remove json.marshal_with_options "
    "object.filter object.remove object.subset object.union concat contains endswith format_int indexof indexof_n "
    "split sprintf startswith strings.any_prefix_match strings.any_suffix_match strings.count trim trim_left "
    "trim_prefix trim_right trim_suffix regex.globs_match regex.match regex.split bits.and bits.lsh bits.or bits.rsh "
    "bits.xor io.jwt.decode_verify io.jwt.verify_eddsa io.jwt.verify_es256 io.jwt.verify_es384 io.jwt.verify_es512 "
    "io.jwt.verify_hs256 io.jwt.verify_hs384 io.jwt.verify_hs512 io.jwt.verify_ps256 io.jwt.verify_ps384 "
    "io.jwt.verify_ps512 io.jwt.verify_rs256 io.jwt.verify_rs384 io.jwt.verify_rs512 time.diff time.parse_ns "
    "crypto.hmac.equal crypto.hmac.md5 crypto.hmac.sha1 crypto.hmac.sha256 crypto.hmac.sha512 "
    "crypto.x509.parse_keypair graph.reachable graph.reachable_paths semver.compare mul plus rem div equal neq gt gte "
    "lt lte net.cidr_contains",
    "numbers.range_step array.slice object.get replace substring regex.find_all_string_submatch_n regex.find_n "
    "regex.replace glob.match",
    "time.add_date regex.template_match",
)

ARITY: Final[Mapping[str, int]] = MappingProxyType(
    {name: arity for arity, names in enumerate(_BY_ARITY) for name in names.split()}
)
"""Built-in function → how many arguments it takes."""

_RANDOM = "draws at random, and a decision must be the same each time"
_OUTSIDE = "reaches out to the network, and policies are decided without it"
_MACHINE = "tells of the machine that simulates"
_WRITES = "writes while policies are decided; leave it out"
_ENDLESS = "never ends on some texts in this engine"

REFUSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("rand.intn", "uuid.rfc4122"), _RANDOM),
        **dict.fromkeys(("http.send", "net.lookup_ip_addr"), _OUTSIDE),
        "opa.runtime": _MACHINE,
        **dict.fromkeys(("print", "trace"), _WRITES),
        **dict.fromkeys(("yaml.is_valid", "yaml.marshal", "yaml.unmarshal"), _ENDLESS + "; use json.unmarshal"),
        "strings.replace_n": _ENDLESS + "; use replace",
        **dict.fromkeys(
            ("io.jwt.encode_sign", "io.jwt.encode_sign_raw"), "signs tokens, which is no part of a decision"
        ),
        "crypto.x509.parse_and_verify_certificates": "reads the clock of the machine that simulates",
    }
)
"""Functions of Open Policy Agent that cannot be used, and why."""

_NOT_IN_ENGINE: Final = (
    "json.match_schema json.verify_schema strings.render_template net.cidr_contains_matches net.cidr_expand "
    "net.cidr_intersects net.cidr_is_valid net.cidr_merge net.cidr_overlap rego.metadata.chain rego.metadata.rule "
    "rego.parse_module graphql.is_valid graphql.parse graphql.parse_and_verify graphql.parse_query "
    "graphql.parse_schema graphql.schema_is_valid providers.aws.sign_req "
    "crypto.x509.parse_and_verify_certificates_with_options set_diff cast_array cast_boolean cast_null cast_object "
    "cast_set cast_string re_match any all"
)
NOT_IN_ENGINE: Final = frozenset(_NOT_IN_ENGINE.split())
"""Functions of Open Policy Agent, some of them of its past, that the engine does not have."""

NOW: Final = "input.meshsim.time_ns"
"""What stands for ``time.now_ns()``: the clock of the called node."""

TIMED_BUILTINS: Final = frozenset(("time.now_ns", "io.jwt.decode_verify"))
"""Functions that go by the time of the question."""

SHIMS_PACKAGE: Final = "meshsim_shims"

SHIMMED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "net.cidr_contains": f"data.{SHIMS_PACKAGE}.cidr_contains",
        "time.parse_rfc3339_ns": f"data.{SHIMS_PACKAGE}.parse_rfc3339_ns",
        "replace": f"data.{SHIMS_PACKAGE}.replaced",
        "io.jwt.decode_verify": f"data.{SHIMS_PACKAGE}.decode_verify",
    }
)
"""Functions for which one of the module of shims is called."""

REMAINDER: Final = f"data.{SHIMS_PACKAGE}.remainder"
"""What stands for the operator ``%``."""

SHIMS: Final = f"""package {SHIMS_PACKAGE}

# The engine has no networking functions.
address(text) := bits.lsh(a, 24) + bits.lsh(b, 16) + bits.lsh(c, 8) + d if {{
	parts := split(text, ".")
	count(parts) == 4
	[a, b, c, d] := [to_number(part) | some part in parts]
}}

cidr_contains(block, other) if {{
	[network, length] := split(block, "/")
	not contains(other, "/")
	shift := 32 - to_number(length)
	bits.rsh(address(network), shift) == bits.rsh(address(other), shift)
}}

cidr_contains(block, other) if {{
	[network, length] := split(block, "/")
	[first, own] := split(other, "/")
	to_number(own) >= to_number(length)
	shift := 32 - to_number(length)
	bits.rsh(address(network), shift) == bits.rsh(address(first), shift)
}}

# The engine does not read the Z of an instant.
parse_rfc3339_ns(text) := time.parse_rfc3339_ns(replace(text, "Z", "+00:00"))

# The engine's never ends when there is nothing to replace.
replaced(text, old, new) := replace(text, old, new) if old != ""

replaced(text, "", new) := concat(new, array.concat(array.concat([""], split(text, "")), [""]))

# The engine leaves noughts in front of remainders of large numbers.
remainder(a, b) := unsigned(text) if {{
	text := sprintf("%v", [a % b])
	not startswith(text, "-")
}}

remainder(a, b) := 0 - unsigned(substring(text, 1, -1)) if {{
	text := sprintf("%v", [a % b])
	startswith(text, "-")
}}

unsigned(text) := to_number(concat("", [trim_left(substring(text, 0, last), "0"), substring(text, last, 1)])) if {{
	last := count(text) - 1
}}

# The engine's reads the clock of the machine that simulates.
decode_verify(token, constraints) := io.jwt.decode_verify(
	token,
	object.union({{"time": {NOW}}}, constraints),
)
"""
"""Rego in place of what the engine lacks or does otherwise than Open Policy Agent."""
