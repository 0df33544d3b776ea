"""Every kind of object that may stand in a manifest: that it is read, that it has no effect, or why it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

NETWORKING = ("networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3")
SECURITY = ("security.istio.io/v1", "security.istio.io/v1beta1")

GATEWAY_API = ("gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1")

READ: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Service": ("v1",),
        "Deployment": ("apps/v1",),
        "StatefulSet": ("apps/v1",),
        "DaemonSet": ("apps/v1",),
        "ReplicaSet": ("apps/v1",),
        "Pod": ("v1",),
        "ServiceAccount": ("v1",),
        "Namespace": ("v1",),
        "VirtualService": NETWORKING,
        "DestinationRule": NETWORKING,
        "Gateway": (*NETWORKING, *GATEWAY_API),
        "PeerAuthentication": SECURITY,
        "AuthorizationPolicy": SECURITY,
        "RequestAuthentication": SECURITY,
    }
)
"""Kinds that are read: kind → values of apiVersion."""
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod")
"""Kinds that make replicas."""
HANDED_ON = ("AuthorizationPolicy", "RequestAuthentication")
"""Kinds that the policy engine reads."""
WITHOUT_EFFECT: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ConfigMap": ("v1",),
        "Secret": ("v1",),
        "PersistentVolume": ("v1",),
        "PersistentVolumeClaim": ("v1",),
        "ResourceQuota": ("v1",),
        "LimitRange": ("v1",),
        "Role": ("rbac.authorization.k8s.io/v1",),
        "RoleBinding": ("rbac.authorization.k8s.io/v1",),
        "ClusterRole": ("rbac.authorization.k8s.io/v1",),
        "ClusterRoleBinding": ("rbac.authorization.k8s.io/v1",),
        "PodDisruptionBudget": ("policy/v1",),
        "HorizontalPodAutoscaler": ("autoscaling/v2", "autoscaling/v1"),
        "Job": ("batch/v1",),
        "CronJob": ("batch/v1",),
        "PriorityClass": ("scheduling.k8s.io/v1",),
        "StorageClass": ("storage.k8s.io/v1",),
        "IngressClass": ("networking.k8s.io/v1",),
        "Event": ("v1", "events.k8s.io/v1"),
        "ControllerRevision": ("apps/v1",),
        "Lease": ("coordination.k8s.io/v1",),
        "RuntimeClass": ("node.k8s.io/v1",),
        "CustomResourceDefinition": ("apiextensions.k8s.io/v1",),
        "APIService": ("apiregistration.k8s.io/v1",),
        "MutatingWebhookConfiguration": ("admissionregistration.k8s.io/v1",),
        "ValidatingWebhookConfiguration": ("admissionregistration.k8s.io/v1",),
        "ValidatingAdmissionPolicy": ("admissionregistration.k8s.io/v1",),
        "ValidatingAdmissionPolicyBinding": ("admissionregistration.k8s.io/v1",),
        "GatewayClass": ("gateway.networking.k8s.io/v1",),
        "Telemetry": ("telemetry.istio.io/v1", "telemetry.istio.io/v1alpha1"),
    }
)
"""Kinds that say nothing of who may call whom, and how: what stands in them is not looked at."""
_GATEWAY_API = "gateway.networking.k8s.io"
REFUSED: Mapping[str, tuple[tuple[str, ...], str]] = MappingProxyType(
    {
        "HTTPRoute": ((f"{_GATEWAY_API}/v1",), "routes are VirtualServices"),
        "GRPCRoute": ((f"{_GATEWAY_API}/v1",), "routes are VirtualServices"),
        "TCPRoute": ((f"{_GATEWAY_API}/v1alpha2",), "routes are VirtualServices"),
        "TLSRoute": ((f"{_GATEWAY_API}/v1", f"{_GATEWAY_API}/v1alpha2"), "routes are VirtualServices"),
        "Ingress": (("networking.k8s.io/v1",), "fleets call services themselves"),
        "ServiceEntry": (NETWORKING, "every service is inside of the mesh"),
        "Sidecar": (NETWORKING, "every sidecar knows all services"),
        "EnvoyFilter": (NETWORKING, "what it does to Envoy is not known"),
        "WorkloadEntry": (NETWORKING, "replicas come from Deployments and the like"),
        "WorkloadGroup": (NETWORKING, "replicas come from Deployments and the like"),
        "ProxyConfig": (NETWORKING, "sidecars are set up in the scenario"),
        "WasmPlugin": (("extensions.istio.io/v1alpha1",), "what it does to requests is not known"),
        "IstioOperator": (("install.istio.io/v1alpha1",), "the scenario says how the mesh is set up"),
        "NetworkPolicy": (("networking.k8s.io/v1",), "connections are not filtered"),
        "AdminNetworkPolicy": (("policy.networking.k8s.io/v1alpha1",), "connections are not filtered"),
        "BaselineAdminNetworkPolicy": (("policy.networking.k8s.io/v1alpha1",), "connections are not filtered"),
        "ReplicationController": (("v1",), "replicas come from Deployments and the like"),
        "Endpoints": (("v1",), "replicas come from Deployments and the like"),
        "EndpointSlice": (("discovery.k8s.io/v1",), "replicas come from Deployments and the like"),
    }
)
"""Kinds that would change who calls whom, and how, and are not simulated: kind → values of apiVersion, and why not."""

ALL_KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {**READ, **WITHOUT_EFFECT, **{kind: versions for kind, (versions, _) in REFUSED.items()}}
)

OTHER_MESHES = (
    *("cilium.io", "consul.hashicorp.com", "kuma.io", "linkerd.io", "policy.linkerd.io", "projectcalico.org"),
    *("crd.projectcalico.org", "smi-spec.io", "networking.gke.io"),
)
"""API groups, and groups below them, whose kinds decide who may call whom in other ways than Istio's."""
_OWN = ("istio.io", "k8s.io", "kubernetes.io")
_ADD_ONS = ("snapshot.storage.k8s.io", "metrics.k8s.io", "kustomize.config.k8s.io", "sigs.k8s.io", "x-k8s.io")
"""Groups below those of Kubernetes itself that are none of its own."""


def group_of(api_version: str) -> str:
    """The API group of an object; empty for the core of Kubernetes."""
    return api_version.rpartition("/")[0]


def _is_in(group: str, groups: tuple[str, ...]) -> bool:
    return any(group == one or group.endswith(f".{one}") for one in groups)


def is_of_another_mesh(api_version: str) -> bool:
    """Whether an object decides who may call whom in another way than Istio's."""
    return _is_in(group_of(api_version), OTHER_MESHES)


def is_unused(kind: str, api_version: str) -> bool:
    """Whether an object bears on nothing that is simulated, whatever stands in it.

    Kinds that somebody has added to a cluster are such, as long as their API group is neither Kubernetes' nor Istio's:
    there, a kind that is not known is a mistake.
    """
    if kind in WITHOUT_EFFECT:
        return group_of(api_version) in map(group_of, WITHOUT_EFFECT[kind])
    group = group_of(api_version)
    added = "." in group and (not _is_in(group, _OWN) or _is_in(group, _ADD_ONS))
    return added and kind not in ALL_KINDS and not is_of_another_mesh(api_version)
