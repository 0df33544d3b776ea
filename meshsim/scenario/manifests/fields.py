"""Every key that may stand in an object: what is read from it, that it has no effect, or why it is refused.

This is the one table of it: the readers take their keys from here, and docs/manifests.md is made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from meshsim.scenario.manifests.keys import Fields
from meshsim.scenario.manifests.keys_gateways import GATEWAYS

_POD = (
    *("restartPolicy", "terminationGracePeriodSeconds", "dnsPolicy", "dnsConfig", "schedulerName", "securityContext"),
    *("affinity", "tolerations", "nodeSelector", "nodeName", "topologySpreadConstraints", "priorityClassName"),
    *("imagePullSecrets", "volumes", "automountServiceAccountToken", "enableServiceLinks", "hostname", "subdomain"),
    *("runtimeClassName", "shareProcessNamespace", "initContainers", "priority", "os"),
)
_CONTAINER = (
    *("image", "imagePullPolicy", "command", "args", "workingDir", "envFrom", "resources", "volumeMounts"),
    *("volumeDevices", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "securityContext", "stdin"),
    *("terminationMessagePath", "terminationMessagePolicy", "tty"),
)
_SETTINGS = {
    "loadBalancer": "how callers choose among replicas",
    "connectionPool": "connections and limits of each caller",
    "outlierDetection": "when a caller leaves a replica out",
    "tls": "whether callers speak mutual TLS",
}
_NO_SETTINGS = {
    "tunnel": "nothing is tunnelled",
    "proxyProtocol": "callers speak TLS or HTTP at once",
    "retryBudget": "retries are limited by number",
}

TABLE: Mapping[str, Fields] = MappingProxyType(
    {
        "Namespace": Fields({}, ("spec", "status")),
        "ServiceAccount": Fields({}, ("secrets", "imagePullSecrets", "automountServiceAccountToken")),
        "Service": Fields({"spec": "ports and selector"}, ("status",)),
        "Service.spec": Fields(
            {
                "ports": "the ports that it is called on",
                "selector": "labels of the pods behind it",
                "type": "ClusterIP, NodePort or LoadBalancer, which are the same here",
                "clusterIP": "None: callers choose a replica at random, unless a DestinationRule says how",
                "sessionAffinity": "None alone: requests have no affinity",
            },
            (
                *("clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"),
                *("externalTrafficPolicy", "allocateLoadBalancerNodePorts", "loadBalancerIP", "loadBalancerClass"),
                *("loadBalancerSourceRanges", "externalIPs", "healthCheckNodePort", "publishNotReadyAddresses"),
                *("sessionAffinityConfig", "trafficDistribution"),
            ),
            {"externalName": "every service is inside of the mesh"},
        ),
        "Service.spec.ports": Fields(
            {
                "port": "its number",
                "name": "the protocol, by what it begins with; and its name",
                "appProtocol": "the protocol, before the name",
                "targetPort": "the port that the replicas listen on",
                "protocol": "TCP alone",
            },
            ("nodePort",),
        ),
        "Deployment": Fields({"spec": "replicas and pods"}, ("status",)),
        "Deployment.spec": Fields(
            {
                "replicas": "how many; 1 if it does not say",
                "selector": "has to match the pods",
                "template": "the pods",
            },
            ("strategy", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"),
            {"paused": "a Deployment is carried out"},
        ),
        "StatefulSet": Fields({"spec": "replicas and pods"}, ("status",)),
        "StatefulSet.spec": Fields(
            {
                "replicas": "how many; 1 if it does not say",
                "selector": "has to match the pods",
                "template": "the pods",
            },
            (
                *("serviceName", "volumeClaimTemplates", "updateStrategy", "podManagementPolicy", "minReadySeconds"),
                *("revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy", "ordinals"),
            ),
        ),
        "DaemonSet": Fields({"spec": "pods"}, ("status",)),
        "DaemonSet.spec": Fields(
            {"selector": "has to match the pods", "template": "the pods"},
            ("updateStrategy", "minReadySeconds", "revisionHistoryLimit"),
        ),
        "ReplicaSet": Fields({"spec": "replicas and pods"}, ("status",)),
        "ReplicaSet.spec": Fields(
            {
                "replicas": "how many; 1 if it does not say",
                "selector": "has to match the pods",
                "template": "the pods",
            },
            ("minReadySeconds",),
        ),
        "Pod": Fields({"spec": "what runs in it"}, ("status",)),
        "Deployment.spec.selector": Fields(
            {"matchLabels": "has to match the pods"}, (), {"matchExpressions": "labels are compared as they are"}
        ),
        "Deployment.spec.template": Fields({"metadata": "labels of the pods", "spec": "what runs in them"}),
        "Deployment.spec.template.metadata": Fields(
            {
                "labels": "labels of the replicas: the version, and what selectors choose by",
                "annotations": "none that take a replica, or part of its traffic, out of the mesh",
            },
            ("creationTimestamp", "name", "namespace"),
        ),
        "Deployment.spec.template.spec": Fields(
            {
                "serviceAccountName": "service account, part of the SPIFFE ID; default if it does not say",
                "serviceAccount": "the same, by its older name",
                "containers": "named ports",
            },
            _POD,
            {"hostNetwork": "every replica has a sidecar"},
        ),
        "Deployment.spec.template.spec.containers": Fields(
            {"name": "for messages", "ports": "named ports", "env": "for `meshsim import`, who calls whom"}, _CONTAINER
        ),
        "Deployment.spec.template.spec.containers.ports": Fields(
            {"containerPort": "number of a named port", "name": "name of the port"}, ("protocol", "hostPort", "hostIP")
        ),
        "PeerAuthentication": Fields({"spec": "the mode"}, ("status",)),
        "PeerAuthentication.spec": Fields(
            {
                "selector": "which workloads; the whole namespace without it, the whole mesh in the root namespace",
                "mtls": "mode of the listeners",
                "portLevelMtls": "mode of single ports, by the port that the replicas listen on",
            }
        ),
        "PeerAuthentication.spec.selector": Fields({"matchLabels": "labels of the workloads"}),
        "PeerAuthentication.spec.mtls": Fields({"mode": "STRICT, PERMISSIVE, DISABLE or UNSET"}),
        "DestinationRule": Fields({"spec": "host, settings, subsets"}, ("status",)),
        "DestinationRule.spec": Fields(
            {
                "host": "the service, or services by a wildcard",
                "trafficPolicy": "how callers treat it",
                "subsets": "subsets of its replicas",
                "exportTo": "namespaces whose callers see it: `.`, its own; `*`, all; or names",
            },
            (),
            {"workloadSelector": "a rule holds for all callers"},
        ),
        "trafficPolicy": Fields({**_SETTINGS, "portLevelSettings": "the same for single ports"}, (), _NO_SETTINGS),
        "portLevelSettings": Fields({"port": "number of the port", **_SETTINGS}, (), _NO_SETTINGS),
        "DestinationRule.spec.subsets": Fields(
            {"name": "its name", "labels": "labels of its replicas", "trafficPolicy": "how callers treat it"}
        ),
        "loadBalancer": Fields(
            {"simple": "LEAST_REQUEST, ROUND_ROBIN or RANDOM", "localityLbSetting": "`enabled` alone"},
            (),
            {
                "consistentHash": "requests have no affinity",
                "warmup": "new replicas get their part at once",
                "warmupDurationSecs": "new replicas get their part at once",
            },
        ),
        "localityLbSetting": Fields(
            {"enabled": "whether only the nearest replicas are used"},
            (),
            dict.fromkeys(
                ("distribute", "failover", "failoverPriority"), "with locality, the nearest replicas get all requests"
            ),
        ),
        "connectionPool": Fields({"tcp": "connections", "http": "requests"}),
        "connectionPool.tcp": Fields(
            {
                "maxConnections": "connections of a caller to all replicas together",
                "connectTimeout": "time for TCP and TLS",
                "idleTimeout": "an unused connection is closed after this; `http.idleTimeout` comes first",
            },
            ("tcpKeepalive",),
            {"maxConnectionDuration": "connections end by number of requests or idle time"},
        ),
        "connectionPool.http": Fields(
            {
                "http1MaxPendingRequests": "requests of a caller that wait for a connection",
                "http2MaxRequests": "requests of a caller in progress",
                "maxRequestsPerConnection": "requests after which a connection is closed",
                "idleTimeout": "an unused connection is closed after this",
                "h2UpgradePolicy": "UPGRADE: many requests at a time on a connection to an HTTP port",
                "maxConcurrentStreams": "requests at the same time on a connection with HTTP/2",
            },
            (),
            {
                "maxRetries": "retries at the same time are not limited",
                "useClientProtocol": "callers' sidecars choose the protocol",
            },
        ),
        "outlierDetection": Fields(
            {
                "consecutive5xxErrors": "failures in a row",
                "consecutiveGatewayErrors": "failures in a row with status 502, 503 or 504",
                "consecutiveLocalOriginFailures": "failures in a row to get an answer",
                "splitExternalLocalOriginErrors": "whether those count apart",
                "interval": "how often a caller looks who may come back",
                "baseEjectionTime": "how long a replica is left out the first time",
                "maxEjectionPercent": "part of the replicas that may be left out",
                "minHealthPercent": "with a smaller part than this left, all are used",
            },
            (),
            {"consecutiveErrors": "Istio has consecutive5xxErrors and consecutiveGatewayErrors instead"},
        ),
        "tls": Fields(
            {"mode": "ISTIO_MUTUAL or DISABLE"},
            (),
            dict.fromkeys(
                (
                    *("clientCertificate", "privateKey", "caCertificates", "credentialName", "subjectAltNames", "sni"),
                    *("insecureSkipVerify", "caCrl"),
                ),
                "the mesh issues every certificate",
            ),
        ),
        **GATEWAYS,
        "VirtualService": Fields({"spec": "hosts and routes"}, ("status",)),
        "VirtualService.spec": Fields(
            {
                "hosts": "the services whose calls it routes; of a Gateway, any",
                "gateways": "`mesh`, and Gateways, whose calls it then routes",
                "http": "the routes, in order",
                "exportTo": "all namespaces alone ('*')",
            },
            (),
            {"tcp": "only HTTP is routed", "tls": "only HTTP is routed"},
        ),
        "VirtualService.spec.http": Fields(
            {
                "name": "its name",
                "match": "which calls",
                "route": "where they go, by weight",
                "rewrite": "path and authority",
                "timeout": "time for all attempts together",
                "retries": "attempts after the first",
                "fault": "delays and aborts",
                "corsPolicy": "nothing, since no caller is a browser; but what Istio would refuse is a mistake",
            },
            (),
            {
                "redirect": "callers do not follow redirects",
                "directResponse": "an abort answers calls",
                "delegate": "routes stand where they hold",
                **dict.fromkeys(("mirror", "mirrors", "mirrorPercentage", "mirrorPercent"), "calls are not mirrored"),
                "headers": "routes leave header fields as they are",
            },
        ),
        "corsPolicy": Fields(
            {
                "allowOrigins": "exact, prefix or regex each",
                "allowMethods": "methods of HTTP, or `*`",
                "allowHeaders": "names of header fields, or `*`",
                "exposeHeaders": "the same",
                "maxAge": "a duration in whole seconds",
                "allowCredentials": "true or false",
                "unmatchedPreflights": "FORWARD, IGNORE or UNSPECIFIED",
            },
            ("allowOrigin",),
        ),
        "http.match": Fields(
            {
                "uri": "path: exact, prefix or regex",
                "ignoreUriCase": "whether exact and prefix of it ignore the case",
                "method": "exact, prefix or regex",
                "authority": "exact, prefix or regex",
                "headers": "exact, prefix, regex, or nothing for presence",
                "withoutHeaders": "the same, for fields that must not be so",
                "queryParams": "exact, prefix, regex, or nothing for presence",
                "port": "port of the service",
                "sourceLabels": "labels of the caller",
                "sourceNamespace": "namespace of the caller",
                "gateways": "`mesh` alone",
            },
            ("name", "statPrefix"),
            {"scheme": "calls have no scheme of their own"},
        ),
        "StringMatch": Fields({"exact": "this very text", "prefix": "how it begins", "regex": "RE2, as a whole"}),
        "http.route": Fields(
            {"destination": "service, subset and port", "weight": "its part, relative to the others'"},
            (),
            {"headers": "routes leave header fields as they are"},
        ),
        "destination": Fields({"host": "the service", "subset": "a subset of its DestinationRule", "port": "`number`"}),
        "port": Fields({"number": "number of the port"}),
        "rewrite": Fields(
            {"uri": "in place of the path, or of the prefix that was matched", "authority": "in place of the host"},
            (),
            {"uriRegexRewrite": "paths are replaced as a whole or by prefix"},
        ),
        "retries": Fields(
            {
                "attempts": "attempts after the first",
                "perTryTimeout": "time for one attempt",
                "retryOn": "conditions of Envoy, or status codes",
                "retryIgnorePreviousHosts": "true alone: a retry goes to another replica if there is one",
            },
            (),
            {
                "retryRemoteLocalities": "with locality, the nearest replicas get all requests",
                "backoff": "mesh.resilience.backoff says it",
            },
        ),
        "fault": Fields({"delay": "calls that are held back", "abort": "calls that are answered and not sent"}),
        "fault.delay": Fields(
            {"percentage": "how many", "percent": "the same, as a whole number", "fixedDelay": "for how long"},
            (),
            {"exponentialDelay": "Istio does not have it either"},
        ),
        "fault.abort": Fields(
            {"percentage": "how many", "percent": "the same, as a whole number", "httpStatus": "with which status"},
            (),
            {"grpcStatus": "calls end with an HTTP status", "http2Error": "Istio does not have it either"},
        ),
        "percentage": Fields({"value": "0 to 100"}),
    }
)
"""The keys of each kind of mapping that is read, by where it stands."""
