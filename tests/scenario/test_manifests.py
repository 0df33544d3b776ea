"""Manifests in scenarios: what they say, what the scenario says over them, and every mistake at its place."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import LoadedScenario, load_scenario, load_text
from meshsim.scenario.manifests.draft import Draft, lay_over
from meshsim.scenario.manifests.fields import TABLE
from meshsim.scenario.manifests.kinds import ALL_KINDS, READ, REFUSED, WITHOUT_EFFECT
from meshsim.scenario.manifests.reference import render_markdown
from meshsim.scenario.positions import Place, Positions
from meshsim.scenario.variants import variants
from meshsim.scenario.yaml_text import parse_yaml

DATA = Path(__file__).parent / "data"
SHOP = (DATA / "shop.yaml").read_text(encoding="utf-8")
FILES = {name: (DATA / "shop" / name).read_text(encoding="utf-8") for name in ("apps.yaml", "rules.yaml")}
MISTAKES: list[dict[str, Any]] = parse_yaml(
    (DATA / "manifest_mistakes.yaml").read_text(encoding="utf-8"), "manifest_mistakes.yaml"
)[0]


def home(folder: Path, changes: dict[str, tuple[str, str]] | None = None, more: str = "") -> Path:
    """A folder with the shop's manifests, changed by file: what is replaced, and by what; ``more`` is a third file."""
    shop = folder / "shop"
    shutil.rmtree(shop, ignore_errors=True)
    shop.mkdir()
    for name, text in FILES.items():
        old, new = (changes or {}).get(name, ("", ""))
        assert old in text, old
        (shop / name).write_text(text.replace(old, new, 1) if old else text, encoding="utf-8")
    if more:
        (shop / "zz.yaml").write_text(more, encoding="utf-8")
    return folder / "shop.yaml"


def told(path: Path, text: str = SHOP, *overrides: str) -> list[str]:
    """What is said of a scenario in a folder, without the folder; nothing if it is accepted."""
    try:
        load_text(text, path, overrides)
    except ScenarioError as error:
        return [str(one).replace(f"{path.parent}/", "") for one in error.diagnostics]
    return []


@pytest.fixture(scope="module")
def loaded() -> LoadedScenario:
    """The shop."""
    return load_scenario(DATA / "shop.yaml")


def test_services_come_from_manifests(loaded: LoadedScenario) -> None:
    """Ports, protocols, targets, versions, labels and service accounts are those of Services and Deployments."""
    front, catalog = loaded.scenario.services["front"], loaded.scenario.services["catalog"]
    assert (front.namespace, front.protocols, front.first_port) == ("shop", {80: "http", 9090: "tcp"}, 80)
    assert (front.target_port(80), front.target_port(9090)) == (8080, 9090)
    assert catalog.protocols == {8080: "grpc"}
    found = {one.version: one for one in variants("catalog", catalog)}
    assert list(found) == ["v1", "v2"]
    assert found["v1"].nodes == ["edge"]
    assert Counter(found["v2"].nodes) == {"edge": 1, "core": 2}
    assert found["v2"].labels == {"app": "catalog", "version": "v2"}
    assert {one.service_account for one in found.values()} == {"default"}
    assert (found["v1"].work.constant_ns, found["v2"].work.constant_ns) == (1_000_000, 2_000_000)
    assert variants("front", front)[0].service_account == "front"


def test_modes_come_from_peer_authentications(loaded: LoadedScenario) -> None:
    """Port beats workload beats mesh; without any, listeners take both."""
    services = loaded.scenario.services
    assert loaded.scenario.mesh.tls.mode == "STRICT"
    assert services["front"].tls is not None
    assert services["front"].tls.mode == "PERMISSIVE"
    assert services["front"].port_modes == {9090: "DISABLE"}
    assert services["catalog"].tls is None


def test_mode_without_peer_authentications(tmp_path: Path) -> None:
    """Istio's own default holds where no PeerAuthentication says anything; a namespace's beats it."""
    rules = FILES["rules.yaml"]
    peers = rules[rules.index("apiVersion: security") :]
    path = home(tmp_path, {"rules.yaml": (peers, "")})
    assert load_text(SHOP, path).scenario.mesh.tls.mode == "PERMISSIVE"
    of_namespace = peers.partition("---")[0].replace("istio-system", "shop").replace("STRICT", "DISABLE")
    scenario = load_text(SHOP, home(tmp_path, {"rules.yaml": (peers, of_namespace)})).scenario
    assert scenario.mesh.tls.mode == "PERMISSIVE"
    assert all(one.tls is not None and one.tls.mode == "DISABLE" for one in scenario.services.values())


def test_routes_come_from_virtual_services(loaded: LoadedScenario) -> None:
    """Routes keep their order, and every field is the scenario's own."""
    trial, rest = loaded.scenario.mesh.routes
    assert (trial.name, trial.to, trial.timeout_ns) == ("trial", "catalog", 1_500_000_000)
    assert [match.source_labels for match in trial.match] == [{"app": "front"}, {}]
    assert trial.retries is not None
    assert (trial.retries.attempts, trial.retries.attempt_timeout_ns) == (3, 500_000_000)
    assert trial.rewrite is not None
    assert trial.rewrite.path == "/v2/"
    assert rest.delay is not None
    assert (rest.delay.share_ppm, rest.delay.fixed_ns) == (5000, 250_000_000)
    assert rest.abort is not None
    assert (rest.abort.share_ppm, rest.abort.status) == (100_000, 503)
    assert [(one.subset, one.port, one.weight) for one in rest.split] == [("v1", 8080, 75), ("v2", None, 25)]


def test_destinations_come_from_destination_rules(loaded: LoadedScenario) -> None:
    """What a rule leaves open is as Istio has Envoy do it; subsets have what they say themselves."""
    catalog, front = (loaded.scenario.mesh.destinations[name] for name in ("catalog", "front"))
    assert catalog.pool is not None
    assert (catalog.pool.max_connections, catalog.pool.max_requests) == (10, 100)
    assert (catalog.pool.streams_per_connection, catalog.pool.connections_per_replica) == (2**31 - 1, 1)
    assert catalog.outlier_detection is not None
    assert catalog.outlier_detection.base_ejection_ns == 60_000_000_000
    assert catalog.tls == "mutual"
    assert catalog.subsets["v2"].load_balancing is not None
    assert catalog.subsets["v2"].load_balancing.policy == "random"
    assert front.pool is not None
    assert (front.tls, front.pool.streams_per_connection) == ("auto", 1)


def test_the_resolved_scenario_stands_alone(loaded: LoadedScenario, tmp_path: Path) -> None:
    """What was run is spelled out, manifests and all, and reads the same without them."""
    again = load_text(loaded.resolved, tmp_path / "scenario.yaml")
    assert again.scenario == loaded.scenario
    assert again.resolved == loaded.resolved


def test_the_scenario_has_the_last_word(tmp_path: Path) -> None:
    """Values of the scenario hold against those of manifests, and routes of it replace those for the same service."""
    path = home(tmp_path)
    text = SHOP.replace("  manifests: [shop]", "  manifests: [shop]\n  tls: {mode: DISABLE}\n  routes: [{to: catalog}]")
    text = text.replace("v2: {work: {constant: 2 ms}}", "v2: {count: 1}")
    scenario = load_text(text, path).scenario
    assert scenario.mesh.tls.mode == "DISABLE"
    assert len(scenario.mesh.routes) == 1
    assert [one.nodes for one in variants("catalog", scenario.services["catalog"])] == [["edge"], ["core"]]
    changed = load_text(SHOP, path, ["mesh.routes.1.split.0.weight=50"]).scenario
    assert changed.mesh.routes[1].split[0].weight == 50
    other = load_text(SHOP.replace("    placement: [edge]\n", "    replicas: {core: 4}\n"), path).scenario
    assert variants("front", other.services["front"])[0].nodes == ["core"] * 4


def test_manifests_can_be_named_on_the_command_line(tmp_path: Path) -> None:
    """--set mesh.manifests reads others; files are applied in the order in which they are named."""
    path = home(tmp_path)
    scenario = load_text(SHOP, path, ["mesh.manifests=[shop/apps.yaml]"]).scenario
    assert scenario.mesh.routes == ()
    assert "version" not in scenario.mesh.destinations["catalog"].subsets


def test_what_is_applied_later_holds(tmp_path: Path) -> None:
    """Of two objects with one name in two files the later one holds, which is told; in one file it is a mistake."""
    later = FILES["rules.yaml"].partition("---")[0].replace("ROUND_ROBIN", "LEAST_REQUEST")
    path = home(tmp_path, more=later)
    found = load_text(SHOP, path)
    balancing = found.scenario.mesh.destinations["catalog"].load_balancing
    assert balancing is not None
    assert balancing.policy == "least_request"
    assert any("replaces the one at" in note and "zz.yaml:1" in note for note in found.notes)
    first = load_text(SHOP.replace("[shop]", "[shop, shop/rules.yaml]"), path).scenario.mesh.destinations["catalog"]
    assert first.load_balancing is not None
    assert first.load_balancing.policy == "round_robin"
    (said,) = told(home(tmp_path, more=f"{later}---\n{later}"))
    assert said.startswith("shop/zz.yaml:21:1: the DestinationRule shop/catalog stands in this file already, at line 1")


def test_services_that_nothing_calls_are_left_out(tmp_path: Path) -> None:
    """A service of the manifests takes part if the scenario names or calls it; the others are told."""
    other = FILES["apps.yaml"].replace("front", "back").replace("kind: Namespace\nmetadata:\n  name: shop", "")
    other = other[
        other.index("apiVersion: v1\nkind: Service\n") : other.index(
            "apiVersion: v1\nkind: Service\nmetadata: {name: catalog"
        )
    ]
    found = load_text(SHOP, home(tmp_path, more=other))
    assert set(found.scenario.services) == {"front", "catalog"}
    assert any("nothing calls" in note and "back" in note for note in found.notes)
    (said,) = told(
        tmp_path / "shop.yaml", SHOP.replace("[{to: catalog, path: /v1/items}]", "[{to: back}, {to: catalog}]")
    )
    assert "work and placement of 'back' are missing, which no manifest says" in said


def test_names_in_several_namespaces(tmp_path: Path) -> None:
    """Services of one name in two namespaces have the namespace in their names."""
    other = FILES["apps.yaml"].partition("---")[2].replace("namespace: shop", "namespace: depot")
    text = SHOP.replace("front:", "front-shop:").replace("to: front", "to: front-shop")
    text = text.replace("catalog:", "catalog-shop:").replace("to: catalog", "to: catalog-shop")
    found = load_text(text, home(tmp_path, more=other)).scenario
    assert found.mesh.routes[0].to == "catalog-shop"
    assert found.services["front-shop"].namespace == "shop"


def test_a_host_that_is_not_there_is_told_with_names_that_can_be_told_apart(tmp_path: Path) -> None:
    """Among the services that are there, those of one name in several namespaces have the namespace behind it."""
    depot = FILES["apps.yaml"].partition("---")[2].replace("namespace: shop", "namespace: depot")
    route = "hosts: [zzzzz]\n  http: [{route: [{destination: {host: zzzzz}}]}]"
    head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: z}\n"
    more = f"{depot}\n---\n{head}spec:\n  {route}\n"
    said = [one for one in told(home(tmp_path, more=more)) if "'zzzzz'" in one]
    assert said
    assert all("front.depot" in one and "front.shop" in one for one in said)


PRESET = "mesh.preset is istio, as the manifests are Istio's; preset: null brings meshsim's own defaults back"


@pytest.mark.parametrize(
    ("text", "overrides", "preset", "svid_ttl_h", "from_fleets", "retries"),
    [
        (SHOP, (), "istio", 24, "SANITIZE_SET", 2),
        (SHOP.replace("mesh:\n", "mesh:\n  preset: null\n"), (), None, 1, "SANITIZE", 2),
        (SHOP, ("mesh.preset=null",), None, 1, "SANITIZE", 2),
        (SHOP.replace("mesh:\n", "mesh:\n  preset: spire\n"), (), "spire", 1, "SANITIZE", 2),
        (SHOP, ("mesh.preset=consul",), "consul", 72, "SANITIZE", 0),
        (SHOP.replace("mesh:\n", "mesh:\n  identity: {svid_ttl: 2 h}\n"), (), "istio", 2, "SANITIZE_SET", 2),
    ],
)
def test_a_mesh_that_names_no_preset_has_that_of_its_manifests(
    tmp_path: Path,
    text: str,
    overrides: tuple[str, ...],
    preset: str | None,
    svid_ttl_h: int,
    from_fleets: str,
    retries: int,
) -> None:
    """Manifests are Istio's, and so are the defaults beside them, unless the scenario says otherwise."""
    loaded = load_text(text, home(tmp_path), overrides)
    mesh = loaded.scenario.mesh
    assert (mesh.preset, mesh.identity.svid_ttl_ns // 3_600_000_000_000) == (preset, svid_ttl_h)
    assert (mesh.http.client_cert.from_fleets, mesh.resilience.retries) == (from_fleets, retries)
    assert (PRESET in loaded.notes) == (preset == "istio")
    assert mesh.tls.mode == "STRICT"  # as the PeerAuthentication has it, whatever the preset says


def test_what_has_no_effect_is_told_in_one_note(loaded: LoadedScenario, tmp_path: Path) -> None:
    """Keys without effect are counted in one note, kinds that are not used in another."""
    assert loaded.notes == (PRESET, "read in manifests and without effect: image (3)")
    more = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {anything: goes}\n"
    assert load_text(SHOP, home(tmp_path, more=more)).notes == (
        PRESET,
        "read in manifests and without effect: image (3)",
        "not used, as they decide nothing about calls: ConfigMap (1)",
    )


def test_kinds_that_decide_nothing_do_not_stop_the_work(tmp_path: Path) -> None:
    """What bears on no call is named and passed over, whatever stands in it: kinds that somebody added, too."""
    more = "\n---\n".join(
        (
            "apiVersion: autoscaling/v2beta2\nkind: HorizontalPodAutoscaler\nmetadata: {name: a}\nspec: {x: 1}",
            "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: a-}",
            "apiVersion: monitoring.coreos.com/v1\nkind: ServiceMonitor\nmetadata: {name: a}",
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [apps.yaml]",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}",
        )
    )
    notes = load_text(SHOP, home(tmp_path, more=more)).aside
    assert notes[-1] == (
        "not used, as they decide nothing about calls: ConfigMap (1), HorizontalPodAutoscaler (1), Job (1), "
        "Kustomization (1), ServiceMonitor (1)"
    )
    assert "the ConfigMap istio at" in notes[0]


def test_mistyped_kinds_and_groups_are_not_taken_for_unused(tmp_path: Path) -> None:
    """In the groups of Kubernetes and Istio an unknown kind is a mistake, and so is a known kind in a strange group."""
    for version, kind, expected in (
        ("security.istio.io/v1", "AuthorizationPolicies", "'kind' is 'AuthorizationPolicies', which is not known"),
        ("networking.k8s.io/v1", "NetworkPolicie", "'kind' is 'NetworkPolicie', which is not known"),
        ("security.istio.example/v1", "AuthorizationPolicy", "'apiVersion' is 'security.istio.example/v1'"),
        ("app/v1", "Deploiment", "'kind' is 'Deploiment', which is not known"),
        ("policy.linkerd.io/v1beta1", "Server", "a Server is not simulated: the policies of another mesh are not"),
    ):
        (said,) = told(home(tmp_path, more=f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n"))
        assert expected in said, said


def test_refused_kinds_can_be_left_aside_if_that_is_said(tmp_path: Path) -> None:
    """``mesh.ignored_kinds`` leaves kinds aside, with a note; one that is not there, or no manifest, is a mistake."""
    path = home(tmp_path, more="apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n")
    loaded = load_text(SHOP, path, ["mesh.ignored_kinds=[NetworkPolicy]"])
    assert loaded.aside == ("left aside, as mesh.ignored_kinds has it: NetworkPolicy (1)",)
    assert load_text(loaded.resolved, tmp_path / "again.yaml").resolved == loaded.resolved
    assert told(path, SHOP, "mesh.ignored_kinds=[NetworkPolicy, Sidecar]") == [
        "--set mesh.ignored_kinds=[NetworkPolicy, Sidecar]: there is no Sidecar in the manifests; expected a kind that "
        "is there, or nothing"
    ]
    (said,) = told(path, loaded.resolved, "mesh.ignored_kinds=[Sidecar]")
    assert "ignored_kinds is about manifests, of which there are none" in said


def test_a_whole_mesh_on_the_command_line_can_name_manifests(tmp_path: Path) -> None:
    """``--set mesh={...}`` says which manifests are read and what is left aside, as the file could."""
    path = home(tmp_path, more="apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n")
    assert any("a NetworkPolicy is not simulated" in line for line in told(path, SHOP, "mesh={manifests: [shop]}"))
    whole = "mesh={manifests: [shop], ignored_kinds: [NetworkPolicy]}"
    loaded = load_text(SHOP, path, ["mesh.tls.key=ed25519", whole, "mesh.tls.mode=PERMISSIVE"])
    assert loaded.aside == ("left aside, as mesh.ignored_kinds has it: NetworkPolicy (1)",)
    tls = loaded.scenario.mesh.tls
    assert (tls.mode, tls.key) == ("PERMISSIVE", "rsa-2048")  # what came before it is gone
    assert loaded.scenario.mesh.routes


@pytest.mark.parametrize(
    "settings",
    [
        ("mesh.policy.istio.root_namespace=meshwide",),
        ("mesh.policy.istio={root_namespace: meshwide}",),
        ("mesh.policy={istio: {root_namespace: meshwide}}",),
        ("mesh.policy={istio: {root_namespace: other}}", "mesh.policy.istio.root_namespace=meshwide"),
    ],
)
def test_the_root_namespace_can_be_set_on_the_command_line(tmp_path: Path, settings: tuple[str, ...]) -> None:
    """It is known before manifests are read: a PeerAuthentication in it holds for the whole mesh."""
    peers = (
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n"
        "metadata: {name: default, namespace: meshwide}\nspec: {mtls: {mode: DISABLE}}\n"
    )
    allow = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: shop}\n"
    path = home(tmp_path, more=f"{peers}---\n{allow}spec: {{rules: [{{}}]}}\n")
    loaded = [load_text(SHOP, path, each).scenario for each in ((), settings)]
    assert [one.mesh.tls.mode == "DISABLE" for one in loaded] == [False, True]


def test_what_comes_before_a_whole_mapping_goes_with_it(tmp_path: Path) -> None:
    """A mapping set as a whole takes the place of what was set in it before, and no policies can be had that way."""
    allow = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: shop}\n"
    path = home(tmp_path, more=f"{allow}spec: {{rules: [{{}}]}}\n")
    settings = ["mesh.policy.istio.root_namespace=meshwide", "mesh.policy={istio: {unmatched: ignore}}"]
    policy = load_text(SHOP, path, settings).scenario.mesh.policy
    assert policy is not None
    assert policy.istio is not None
    assert (policy.istio.root_namespace, policy.istio.unmatched) == ("istio-system", "ignore")
    assert load_text(SHOP, path, ["mesh.policy=null"]).scenario.mesh.policy is None


@pytest.mark.parametrize("kind", ["StatefulSet", "ReplicaSet"])
def test_other_workloads_are_read_as_deployments(kind: str, tmp_path: Path) -> None:
    """A StatefulSet or ReplicaSet gives what a Deployment with the same pods gives."""
    plain = load_text(SHOP, home(tmp_path)).resolved
    assert load_text(SHOP, home(tmp_path, {"apps.yaml": ("kind: Deployment", f"kind: {kind}")})).resolved == plain


def test_a_daemon_set_is_one_replica_unless_the_scenario_says_more(tmp_path: Path) -> None:
    """How many nodes a cluster has no manifest says: a note tells that one replica is assumed."""
    old = FILES["apps.yaml"][FILES["apps.yaml"].index("kind: Deployment") :].split("  selector:", 1)[0]
    new = old.replace("Deployment", "DaemonSet").replace("  replicas: 2\n", "")
    loaded = load_text(SHOP, home(tmp_path, {"apps.yaml": (old, new)}))
    assert [one.count for one in loaded.scenario.services["front"].versions.values()] == [1]
    assert any("the DaemonSet shop/" in note for note in loaded.notes)


def test_pods_are_read_and_those_that_others_made_are_not_counted_again(tmp_path: Path) -> None:
    """A Pod by itself is a replica; one that a ReplicaSet made, and that ReplicaSet, are its Deployment's."""
    pod = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: POD, namespace: shop, labels: {app: front, version: POD}OWNER}\n"
        "spec: {containers: [{name: main, image: x, ports: [{name: web, containerPort: 8080}]}]}\n"
    )
    alone = pod.replace("POD", "canary").replace("OWNER", "")
    owned = pod.replace("POD", "made").replace("OWNER", ", ownerReferences: [{kind: ReplicaSet, name: a}]")
    before = load_text(SHOP, home(tmp_path)).scenario.services["front"].versions
    after = load_text(SHOP, home(tmp_path, more=f"{alone}---\n{owned}")).scenario.services["front"].versions
    assert set(after) == {*before, "canary"}
    assert (after["canary"].count, after["canary"].service_account) == (1, "default")


def test_callers_of_a_headless_service_choose_at_random(tmp_path: Path) -> None:
    """Replicas of a service without an address are looked up in DNS and chosen by chance."""
    changes = {"apps.yaml": ("  type: ClusterIP\n", "  clusterIP: None\n")}
    loaded = load_text(SHOP, home(tmp_path, changes))
    balancing = loaded.scenario.mesh.destinations["front"].load_balancing
    assert balancing is not None
    assert balancing.policy == "random"


def test_weights_need_not_be_percent(tmp_path: Path) -> None:
    """Weights are parts of their sum, as Istio has it; a sum other than 100 is told."""
    path = home(tmp_path, {"rules.yaml": ("weight: 75", "weight: 50")})
    found = load_text(SHOP, path)
    assert [one.weight for one in found.scenario.mesh.routes[1].split] == [50, 25]
    assert any("add up to 75, not to 100" in note for note in found.notes)


def test_files_outside_are_not_read(tmp_path: Path) -> None:
    """Manifests lie in the scenario's folder or below, links followed; folders without any, and no files, are told."""
    inner = tmp_path / "inner"
    inner.mkdir()
    path = home(inner)
    (tmp_path / "secret.yaml").write_text(FILES["apps.yaml"], encoding="utf-8")
    (inner / "empty").mkdir()
    (inner / "shop" / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    for entry, expected in (
        ("../secret.yaml", "leads out of the scenario's folder"),
        ("/etc/passwd", "leads out of the scenario's folder"),
        ("empty", "holds no manifest"),
        ("nothing.yaml", "there is no such file"),
        ("shop", "leads out of the scenario's folder"),
    ):
        said = told(path, SHOP.replace("[shop]", f"[{entry}]"))
        assert any(expected in line for line in said), (entry, said)
    assert told(path, SHOP.replace("[shop]", "shop")) == [
        "shop.yaml:24:14: 'manifests' is 'shop'; expected a list, such as [one, other]"
    ]


def test_nesting_and_size_are_bounded(tmp_path: Path) -> None:
    """A manifest of deep nesting, of many aliases, or without end is refused at its place."""
    deep = "a: " + "[" * 100 + "]" * 100
    aliases = "a: &a [x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
    )
    for text, expected in ((deep, "nested too deeply"), (aliases, "stand for too much")):
        said = told(home(tmp_path, more=text))
        assert any(expected in line and line.startswith("shop/zz.yaml:") for line in said), said


def test_the_table_of_mistakes_is_long() -> None:
    """The table holds at least a hundred mistakes, each made in text that is there."""
    assert len(MISTAKES) >= 100
    assert all(FILES[mistake["file"]].count(mistake["replace"]) >= 1 for mistake in MISTAKES)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake["by"].strip()[:50] or "left out")
def test_mistake(mistake: dict[str, Any], tmp_path: Path) -> None:
    """A mistake in a manifest is told with exactly these places and words."""
    path = home(tmp_path, {mistake["file"]: (mistake["replace"], mistake["by"])})
    assert told(path) == mistake["says"]


def test_messages_say_what_is_right() -> None:
    """A message has one line of at most 165 characters, and its second half says what would be right."""
    for mistake in MISTAKES:
        for line in mistake["says"]:
            message = line.split(": ", 1)[1]
            assert len(message) <= 165, message
            assert "; expected " in message or "; did you mean " in message, message


def test_every_kind_that_is_refused_is_told(tmp_path: Path) -> None:
    """Kinds that would change who calls whom are refused with the reason, at their kind."""
    for kind, (versions, why) in REFUSED.items():
        more = f"apiVersion: {versions[0]}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{}}\n"
        (said,) = told(home(tmp_path, more=more))
        article = "an" if kind[0] in "AEIOU" else "a"
        assert said.startswith(f"shop/zz.yaml:2:7: {article} {kind} is not simulated: {why}; expected ")
    assert not set(READ) & set(REFUSED)
    assert set(ALL_KINDS) == {*READ, *REFUSED, *WITHOUT_EFFECT}


def test_every_refused_key_is_told(tmp_path: Path) -> None:
    """Keys that are known and not simulated are refused with the reason, wherever they stand."""
    account, tls = "      serviceAccountName: front\n", "    tls: {mode: ISTIO_MUTUAL}\n"
    level = "    portLevelSettings: [{{port: {{number: 8080}}, {}: x}}]\n"
    places = {
        "Service.spec": ("apps.yaml", "  type: ClusterIP\n", "  {}: x\n"),
        "Deployment.spec": ("apps.yaml", "  replicas: 2\n", "  {}: x\n"),
        "Deployment.spec.selector": ("apps.yaml", "{matchLabels: {app: front}}", "{{{}: x}}"),
        "Deployment.spec.template.spec": ("apps.yaml", account, "      {}: x\n"),
        "DestinationRule.spec": ("rules.yaml", "  host: catalog\n", "  host: catalog\n  {}: x\n"),
        "trafficPolicy": ("rules.yaml", tls, "    {}: x\n"),
        "portLevelSettings": ("rules.yaml", tls, level),
        "loadBalancer": ("rules.yaml", "{simple: ROUND_ROBIN}", "{{{}: x}}"),
        "localityLbSetting": ("rules.yaml", "{simple: ROUND_ROBIN}", "{{localityLbSetting: {{{}: x}}}}"),
        "connectionPool.tcp": ("rules.yaml", "connectTimeout: 2s", "{}: 2s"),
        "connectionPool.http": ("rules.yaml", "maxRequestsPerConnection: 50", "{}: 2"),
        "outlierDetection": ("rules.yaml", "interval: 5s", "{}: 2"),
        "tls": ("rules.yaml", "{mode: ISTIO_MUTUAL}", "{{mode: ISTIO_MUTUAL, {}: x}}"),
        "VirtualService.spec": ("rules.yaml", "  http:\n", "  {}: []\n  http:\n"),
        "VirtualService.spec.http": ("rules.yaml", "      timeout: 1.5s\n", "      {}: x\n"),
        "http.match": ("rules.yaml", "sourceLabels: {app: front}", "{}: x"),
        "http.route": ("rules.yaml", "weight: 75", "{}: x"),
        "rewrite": ("rules.yaml", "{uri: /v2/}", "{{uri: /v2/, {}: x}}"),
        "retries": ("rules.yaml", "perTryTimeout: 500ms", "{}: x"),
        "fault.delay": ("rules.yaml", "fixedDelay: 250ms", "fixedDelay: 250ms, {}: x"),
        "fault.abort": ("rules.yaml", "httpStatus: 503", "httpStatus: 503, {}: x"),
    }
    assert set(places) == {name for name, fields in TABLE.items() if fields.refused}
    for name, (file, old, new) in places.items():
        for key, why in TABLE[name].refused.items():
            said = told(home(tmp_path, {file: (old, new.format(key))}))
            assert any(f"{key!r} is not simulated: {why}; expected no {key!r} here" in line for line in said), (
                name,
                key,
            )


def test_laying_over_takes_lists_as_wholes() -> None:
    """What the scenario says holds, key by key; a list of it is not mixed with another."""
    draft = Draft()
    place = Place("m.yaml", 1, 1)
    for path, value in (
        (("a", "x"), 1),
        (("a", "y"), 2),
        (("b", 0), 1),
        (("c", "d", 0, "e"), 5),
    ):
        draft.put(path, value, place)
    data: dict[str, Any] = {"a": {"x": 7}, "b": [9], "c": None}
    positions = Positions("s.yaml")
    lay_over(draft, data, positions)
    assert data == {"a": {"x": 7, "y": 2}, "b": [9], "c": {"d": [{"e": 5}]}}
    assert positions.values["c", "d", 0, "e"] == place


_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-10, 10**6), st.floats(allow_nan=False), st.text(max_size=5), st.just("7s")
)
_KEYS = st.sampled_from(sorted({key for fields in TABLE.values() for key in fields.read}))
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS | st.text(max_size=3), inner, max_size=4),
    max_leaves=25,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(READ)), _VALUES)
def test_whatever_stands_in_a_manifest_is_read_or_told(tmp_path: Path, kind: str, value: Any) -> None:
    """An object with any content in its spec never brings reading down: it is accepted, or its mistakes have places."""
    document = {
        "apiVersion": READ[kind][0],
        "kind": kind,
        "metadata": {"name": "a", "namespace": "shop"},
        "spec": value,
    }
    text = json.dumps(document)
    for line in told(home(tmp_path, more=text)):
        assert line.startswith(("shop/", "shop.yaml")), line


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=80) | st.text("{}[]:,-#&*!|>'\"%@`\t\n ab01?<=~\\", min_size=1, max_size=60))
def test_whatever_a_file_of_manifests_holds_is_read_or_told(tmp_path: Path, text: str) -> None:
    """Any text in a file never brings reading down: it is accepted, or its mistakes have places."""
    for line in told(home(tmp_path, more=text)):
        assert line.startswith("shop/zz.yaml:"), line


def test_reading_needs_no_order(tmp_path: Path) -> None:
    """Objects may stand in any order: files are read whole before anything is looked up."""
    path = home(tmp_path)
    os.rename(tmp_path / "shop" / "rules.yaml", tmp_path / "shop" / "a-rules.yaml")
    assert load_text(SHOP, path).scenario == load_scenario(DATA / "shop.yaml").scenario


def test_the_page_on_manifests_is_in_step() -> None:
    """The committed docs/manifests.md is what `python -m meshsim.scenario.manifests.reference` prints."""
    docs = Path(__file__).parents[2] / "docs" / "manifests.md"
    assert docs.read_text(encoding="utf-8") == render_markdown()


POLICY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: catalog, namespace: shop}
spec:
  selector: {matchLabels: {app: catalog}}
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/front]}}]}]
"""
AMBIENT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n"


def test_policies_are_handed_on(tmp_path: Path) -> None:
    """The policy engine reads policies in the file that they stand in, at their lines, and nothing else of it."""
    found = load_text(SHOP, home(tmp_path, more=AMBIENT + POLICY))
    policy = found.scenario.mesh.policy
    assert policy is not None
    assert (policy.engine, policy.files, policy.default) == ("istio", ("shop/zz.yaml",), "allow")
    ((name, text),) = found.policies
    assert name == "shop/zz.yaml"
    assert text.splitlines()[3:] == ["---", *POLICY.splitlines()]
    assert not any(text.splitlines()[:3])
    assert found.files["shop/zz.yaml"].decode() == text


def test_policies_need_their_engine(tmp_path: Path) -> None:
    """With another engine in the scenario, a policy that nobody would read is a mistake."""
    shutil.copy(DATA / "mesh.cedar", tmp_path / "mesh.cedar")
    text = SHOP.replace("  manifests: [shop]", "  manifests: [shop]\n  policy: {files: [mesh.cedar]}")
    said = told(home(tmp_path, more=POLICY), text)
    assert any(
        line.startswith("shop/zz.yaml:1:1: the scenario's policy engine is cedar, which does not") for line in said
    )


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("allowOrigins: [{exact: x, prefix: y}]", "a match has exact and prefix; expected exactly one of exact"),
        ("allowOrigins: [{regex: '('}]", "this is no regular expression of RE2"),
        ("maxAge: -5s", "'-5s' is negative; expected a duration"),
        ("maxAge: 1500ms", "'1500ms' is no whole number of seconds"),
        ("allowMethods: [get]", "'get' is no method of HTTP; "),
        ("allowHeaders: ['a b']", "'a b' is no name of a header field"),
        ("allowCredentials: 1", "'allowCredentials' is 1; expected true or false"),
        ("unmatchedPreflights: DROP", "'unmatchedPreflights' is 'DROP', which is not known"),
        ("origins: []", "unknown key 'origins'"),
    ],
)
def test_cors_is_checked(written: str, said: str, tmp_path: Path) -> None:
    """A corsPolicy has no effect on services, and what Istio would refuse in it is a mistake all the same."""
    change = ("      timeout: 1.5s\n", f"      corsPolicy: {{{written}}}\n      timeout: 1.5s\n")
    (found,) = told(home(tmp_path, {"rules.yaml": change}))
    assert said in found
    valid = "allowOrigins: [{exact: 'https://a'}, {regex: '.*'}], allowMethods: ['*'], allowHeaders: ['*'], maxAge: 24h"
    fine = ("      timeout: 1.5s\n", f"      corsPolicy: {{{valid}}}\n      timeout: 1.5s\n")
    assert told(home(tmp_path, {"rules.yaml": fine})) == []


def test_a_broken_document_is_not_told_twice(tmp_path: Path) -> None:
    """A service whose document is no YAML is not missed; mistakes in the rest of the file are told."""
    more = """\
apiVersion: v1
kind: Service
metadata: {name: other, namespace: shop}
spec: {ports: [
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v, namespace: shop}
spec: {hosts: [other], http: [{route: [{destination: {host: other}}], timeout: -5s}]}
"""
    broken, timeout = told(home(tmp_path, more=more))
    assert broken == "shop/zz.yaml:5:1: a value is missing here; expected one before this"
    assert timeout.startswith("shop/zz.yaml:9:80: '-5s' is negative")
