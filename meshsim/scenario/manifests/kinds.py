"""Every kind of object that may stand in a manifest: that it is read, that it has no effect, or why it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

NETWORKING = ("networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3")
SECURITY = ("security.istio.io/v1", "security.istio.io/v1beta1")

READ: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Service": ("v1",),
        "Deployment": ("apps/v1",),
        "ServiceAccount": ("v1",),
        "Namespace": ("v1",),
        "VirtualService": NETWORKING,
        "DestinationRule": NETWORKING,
        "PeerAuthentication": SECURITY,
        "AuthorizationPolicy": SECURITY,
        "RequestAuthentication": SECURITY,
    }
)
"""Kinds that are read: kind → values of apiVersion."""
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
        "PriorityClass": ("scheduling.k8s.io/v1",),
        "StorageClass": ("storage.k8s.io/v1",),
    }
)
"""Kinds that say nothing of who calls whom, and how: what stands in them is not looked at."""
REFUSED: Mapping[str, tuple[tuple[str, ...], str]] = MappingProxyType(
    {
        "Gateway": ((*NETWORKING, "gateway.networking.k8s.io/v1"), "fleets call services themselves"),
        "HTTPRoute": (("gateway.networking.k8s.io/v1",), "routes are VirtualServices"),
        "GRPCRoute": (("gateway.networking.k8s.io/v1",), "routes are VirtualServices"),
        "Ingress": (("networking.k8s.io/v1",), "fleets call services themselves"),
        "ServiceEntry": (NETWORKING, "every service is inside of the mesh"),
        "Sidecar": (NETWORKING, "every sidecar knows all services"),
        "EnvoyFilter": (NETWORKING, "what it does to Envoy is not known"),
        "WorkloadEntry": (NETWORKING, "replicas come from Deployments"),
        "WorkloadGroup": (NETWORKING, "replicas come from Deployments"),
        "ProxyConfig": (NETWORKING, "sidecars are set up in the scenario"),
        "WasmPlugin": (("extensions.istio.io/v1alpha1",), "what it does to requests is not known"),
        "Telemetry": (("telemetry.istio.io/v1", "telemetry.istio.io/v1alpha1"), "tables hold every request"),
        "NetworkPolicy": (("networking.k8s.io/v1",), "connections are not filtered"),
        "StatefulSet": (("apps/v1",), "replicas come from Deployments"),
        "DaemonSet": (("apps/v1",), "replicas come from Deployments"),
        "ReplicaSet": (("apps/v1",), "replicas come from Deployments"),
        "Pod": (("v1",), "replicas come from Deployments"),
        "Job": (("batch/v1",), "replicas come from Deployments"),
        "CronJob": (("batch/v1",), "replicas come from Deployments"),
        "Endpoints": (("v1",), "replicas come from Deployments"),
        "EndpointSlice": (("discovery.k8s.io/v1",), "replicas come from Deployments"),
        "HorizontalPodAutoscaler": (("autoscaling/v2", "autoscaling/v1"), "the number of replicas stays"),
    }
)
"""Kinds that would change who calls whom, and how, and are not simulated: kind → values of apiVersion, and why not."""

ALL_KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {**READ, **WITHOUT_EFFECT, **{kind: versions for kind, (versions, _) in REFUSED.items()}}
)
