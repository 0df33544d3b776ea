"""The options of ``meshsim policy``: ask, test, matrix."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from meshsim.commands.answer import Answer

policy_app = typer.Typer(
    name="policy",
    help="Ask policies without a run: one question, test cases, or everything at once.",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Scenario = Annotated[Path | None, typer.Option("--scenario", metavar="FILE", help="Scenario whose policies are asked.")]
Manifests = Annotated[
    Path | None,
    typer.Option("--manifests", metavar="DIR", help="Kubernetes and Istio manifests, in place of a scenario."),
]
Set = Annotated[
    list[str],
    typer.Option("--set", metavar="PATH=VALUE", help="Set any field of the scenario. Repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the essence.")]
Source = Annotated[
    str,
    typer.Option(
        "--source",
        metavar="NAME",
        help="Who calls: a service, fleet, device, namespace/service, service account or SPIFFE ID, as short as it "
        "is unambiguous; 'anyone' proves no identity.",
    ),
]
Destination = Annotated[str, typer.Option("--destination", metavar="NAME", help="Service that is called.")]
Method = Annotated[str, typer.Option("--method", metavar="NAME", help="HTTP method.")]
RequestPath = Annotated[str, typer.Option("--path", metavar="PATH", help="Path, with its query if there is one.")]
Port = Annotated[int | None, typer.Option("--port", metavar="N", help="Port of the service. Default: its first.")]
Host = Annotated[
    str | None, typer.Option("--host", metavar="NAME", help="Authority. Default: as the scenario's requests have it.")
]
Header = Annotated[list[str], typer.Option("--header", metavar="NAME=VALUE", help="Header field. Repeatable.")]
TokenAt = Annotated[
    str | None,
    typer.Option("--token-at", metavar="KIND=NAME", help="Place of that token: header=, param= or cookie=NAME."),
]
Claim = Annotated[list[str], typer.Option("--claim", metavar="NAME=VALUE", help="Claim of a valid token. Repeatable.")]
Token = Annotated[
    Path | None,
    typer.Option("--token", metavar="FILE", help="File with a token that the request carries, which is judged."),
]
SliceName = Annotated[str | None, typer.Option("--slice", metavar="NAME", help="Slice. Default: the caller's first.")]
Site = Annotated[str | None, typer.Option("--site", metavar="NAME", help="Site of the caller. Default: where it is.")]
Node = Annotated[str | None, typer.Option("--node", metavar="NAME", help="Node of the called replica.")]
SourceNode = Annotated[
    str | None, typer.Option("--source-node", metavar="NAME", help="Node from which the caller calls.")
]
SourceIp = Annotated[str | None, typer.Option("--source-ip", metavar="ADDRESS", help="Address of the caller.")]
TlsVersion = Annotated[str | None, typer.Option("--tls-version", metavar="N.N", help="TLS version of the connection.")]
Cipher = Annotated[str | None, typer.Option("--cipher", metavar="NAME", help="Cipher suite.")]
Group = Annotated[str | None, typer.Option("--group", metavar="NAME", help="Key exchange group.")]
CertificateAge = Annotated[
    str | None, typer.Option("--certificate-age", metavar="TIME", help="Age of the caller's certificate. Default: 0 s.")
]
Time = Annotated[
    str | None,
    typer.Option("--time", metavar="INSTANT", help="The called node's clock. Default: the scenario's epoch."),
]
Plaintext = Annotated[bool, typer.Option("--plaintext", help="The caller speaks no TLS, and so proves nothing.")]
Expect = Annotated[
    Literal["deny", "allow"] | None,  # in this order everywhere: Python keeps one of two that are equal
    typer.Option("--expect", metavar="allow|deny", help="Exit 1 if the answer is another."),
]


@policy_app.command()
def ask(
    source: Source,
    destination: Destination,
    scenario: Scenario = None,
    manifests: Manifests = None,
    policies: Annotated[
        list[Path],
        typer.Option("--policies", metavar="FILE", help="Policy files in place of the subject's own. Repeatable."),
    ] = [],  # noqa: B006 - typer reads the default, nobody changes it
    method: Method = "GET",
    path: RequestPath = "/",
    port: Port = None,
    host: Host = None,
    header: Header = [],  # noqa: B006 - typer reads the default, nobody changes it
    claim: Claim = [],  # noqa: B006 - typer reads the default, nobody changes it
    token: Token = None,
    token_at: TokenAt = None,
    slice_: SliceName = None,
    site: Site = None,
    node: Node = None,
    source_node: SourceNode = None,
    source_ip: SourceIp = None,
    tls_version: TlsVersion = None,
    cipher: Cipher = None,
    group: Group = None,
    certificate_age: CertificateAge = None,
    time: Time = None,
    plaintext: Plaintext = False,
    expect: Expect = None,
    settings: Set = [],  # noqa: B006 - typer reads the default, nobody changes it
    quiet: Quiet = False,
    _json: Json = False,
) -> Answer:
    """Ask whether one request is allowed, by which rule, and why the others had no say.

    The real policy engine answers. How the port takes mutual TLS counts too: whom a STRICT port refuses, no policy
    lets in.
    """
    from meshsim.commands.asking import answer_question, claims_of, pairs, subject_of, token_text
    from meshsim.inquiry.placing import place_of
    from meshsim.inquiry.request import Request, age_s, instant_s, resolve
    from meshsim.scenario.errors import Mistakes

    wrong = Mistakes()
    fields = wrong.of(lambda: pairs(header, "--header")) or ()
    claims = wrong.of(lambda: claims_of(claim))
    text = wrong.of(lambda: None if token is None else token_text(token))
    place = wrong.of(lambda: None if token_at is None else place_of(*pairs([token_at], "--token-at")[0], "--token-at"))
    request = Request(
        source=source,
        destination=destination,
        method=method,
        path=path,
        port=port,
        host=host,
        headers=tuple(fields),
        claims=claims,
        token=text,
        token_at=None if wrong else place,  # a token that is wrong is not told to be missing besides
        slice=slice_,
        site=site,
        node=node,
        source_node=source_node,
        source_ip=source_ip,
        tls_version=tls_version,
        cipher=cipher,
        group=group,
        certificate_age_s=wrong.of(
            lambda: None if certificate_age is None else age_s(certificate_age, "--certificate-age")
        ),
        time_s=wrong.of(lambda: None if time is None else instant_s(time, "--time")),
        plaintext=plaintext,
    )
    subject = wrong.of(lambda: subject_of(scenario, manifests, settings, policies))
    if subject is not None:
        wrong.of(partial(resolve, subject, request))
    wrong.tell()
    assert subject is not None
    return answer_question(subject, request, expect, quiet=quiet)


@policy_app.command("test")
def trial(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Files of cases.")],
    scenario: Scenario = None,
    manifests: Manifests = None,
    min_coverage: Annotated[
        str | None,
        typer.Option("--min-coverage", metavar="SHARE", help="Exit 1 if fewer of the rules decided a case."),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write the outcome as JUnit's XML.")
    ] = None,
    settings: Set = [],  # noqa: B006 - typer reads the default, nobody changes it
    quiet: Quiet = False,
    _json: Json = False,
) -> Answer:
    """Try test cases: requests with the answers that they must get, and by which rule.

    A file of cases names its scenario or its manifests, unless --scenario or --manifests does. Exit 1 if a case gets
    another answer. Tells which rules never decided a case, and which never matched one.

    A file of cases is YAML, at its least: cases: [{source: NAME, destination: NAME, expect: allow}]. All keys, with
    their defaults and an example, are in docs/policies.md, "Files of cases".
    """
    from meshsim.commands.trying import try_files

    return try_files(files, scenario, manifests, settings, min_coverage, junit, quiet=quiet)


@policy_app.command()
def matrix(
    scenario: Scenario = None,
    manifests: Manifests = None,
    diff: Annotated[
        list[Path],
        typer.Option(
            "--diff",
            metavar="OTHER",
            help="What other policies would change: a scenario, a folder of manifests, or policy files (repeatable) in "
            "place of the scenario's.",
        ),
    ] = [],  # noqa: B006 - typer reads the default, nobody changes it
    fail_on: Annotated[
        list[str],
        typer.Option("--fail-on", metavar="KIND", help="Exit 1 on newly-allowed or newly-denied. Repeatable."),
    ] = [],  # noqa: B006 - typer reads the default, nobody changes it
    source: Annotated[str | None, typer.Option("--source", metavar="NAME", help="Only this caller.")] = None,
    destination: Annotated[str | None, typer.Option("--destination", metavar="NAME", help="Only this service.")] = None,
    most: Annotated[int, typer.Option("--most", metavar="N", min=1, help="Questions that may be asked.")] = 1_000_000,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Write a picture (.png, .svg or .pdf).")
    ] = None,
    settings: Set = [],  # noqa: B006 - typer reads the default, nobody changes it
    quiet: Quiet = False,
    _json: Json = False,
) -> Answer:
    """Tell who may call whom, and how; or every decision that other policies would flip.

    The real engine is asked every question that the policies can tell apart: their own literals and patterns decide
    which those are. Where that cannot be exact, the answer says so, and with --fail-on the exit code is 3.
    """
    from meshsim.commands.asking import both_subjects, named_by, other_named_by, subject_of
    from meshsim.commands.matrices import answer_diff, answer_matrix, check_fail_on, narrowed
    from meshsim.scenario.errors import UsageError

    check_fail_on(fail_on, comparing=bool(diff))
    if not diff:
        subject = subject_of(scenario, manifests, settings)
        return answer_matrix(subject, narrowed(subject, source, destination), most, plot, quiet=quiet)
    if plot is not None:
        raise UsageError("--plot draws a matrix, not a --diff; expected one of them")
    subject, other = both_subjects(scenario, manifests, diff, settings)
    named = named_by(scenario, manifests, settings), other_named_by(scenario, manifests, diff, settings)
    part = narrowed(subject, source, destination)
    return answer_diff(subject, other, part, most, fail_on, quiet=quiet, named=named)
