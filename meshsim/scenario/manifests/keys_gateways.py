"""The keys of Gateways: Istio's own, and waypoints of the Gateway API."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from meshsim.scenario.manifests.keys import Fields

GATEWAYS: Mapping[str, Fields] = MappingProxyType(
    {
        "Gateway": Fields({"spec": "which workload it is"}, ("status",)),
        "Gateway.spec": Fields(
            {"selector": "labels of the workload's pods, those of Istio's own gateway too", "servers": "its ports"}
        ),
        "Gateway.spec.servers": Fields(
            {"port": "number and protocol: users speak HTTP to it"}, ("hosts", "tls", "bind", "defaultEndpoint", "name")
        ),
        "Gateway.spec.servers.port": Fields(
            {"number": "its number", "protocol": "HTTP, HTTPS, HTTP2, GRPC or GRPC-WEB, all HTTP here"},
            ("name", "targetPort"),
        ),
        "Gateway of gateway.networking.k8s.io": Fields({"spec": "a waypoint"}, ("status",)),
        "Gateway.spec of gateway.networking.k8s.io": Fields(
            {"gatewayClassName": "`istio-waypoint`; others are refused", "listeners": "who may use it"},
            ("infrastructure", "addresses"),
        ),
        "Gateway.spec.listeners": Fields(
            {
                "allowedRoutes": "namespaces of the services that it may serve",
                "protocol": "HBONE: the first listener of that, on 15008, counts",
                "port": "15008",
            },
            ("name", "hostname", "tls"),
        ),
        "Gateway.spec.listeners.allowedRoutes": Fields({"namespaces": "which ones"}, ("kinds",)),
        "Gateway.spec.listeners.allowedRoutes.namespaces": Fields(
            {"from": "Same, All or Selector; Same if it does not say", "selector": "labels of the namespaces"}
        ),
        "Gateway.spec.listeners.allowedRoutes.namespaces.selector": Fields({"matchLabels": "labels of the namespaces"}),
    }
)
