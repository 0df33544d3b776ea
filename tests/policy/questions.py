"""A question with every attribute filled, for engines that read them all."""

from __future__ import annotations

from meshsim.policy.question import Question

VISION = "spiffe://plant.example/ns/shop/sa/vision"
FULL = Question(
    principal=VISION,
    source="vision",
    destination="planner",
    method="GET",
    path="/plans",
    slice="control",
    site="plant",
    mutual=True,
    port=8080,
    host="planner",
    headers=(("accept", "text/html"),),
    claims="{}",
    node="edge-1",
    source_node="gnb-1",
    source_ip="100.64.0.7",
    tls_version="1.3",
    cipher="TLS_AES_128_GCM_SHA256",
    group="X25519",
    certificate_age_s=90,
    time_s=1_767_261_600,  # 2026-01-01T10:00:00Z
    query="fast=1",
    destination_ip="10.244.1.2",
)
