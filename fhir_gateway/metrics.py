"""Prometheus metrics. Labels are our own words only: no id and no text of a patient."""

from __future__ import annotations

import prometheus_client


class Metrics:
    """The counters and histograms of one gateway, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        self.requests = prometheus_client.Counter(
            "fhir_gateway_requests", "HTTP requests", ("interaction", "status"), registry=self.registry
        )
        self.request_seconds = prometheus_client.Histogram(
            "fhir_gateway_request_seconds", "Time to answer", ("interaction",), registry=self.registry
        )
        self.runs = prometheus_client.Counter(
            "fhir_gateway_runs", "Runs by the state they ended in", ("state",), registry=self.registry
        )
        self.stage_seconds = prometheus_client.Histogram(
            "fhir_gateway_stage_seconds", "Own time of a stage", ("stage",), registry=self.registry
        )
        self.stage_failures = prometheus_client.Counter(
            "fhir_gateway_stage_failures", "Failed tries of a stage", ("stage",), registry=self.registry
        )

        self.messages = prometheus_client.Counter(
            "fhir_gateway_hl7v2_messages",
            "HL7 v2 messages: received, repeated, refused, and how their mapping ended",
            ("site", "state"),
            registry=self.registry,
        )
        self.not_mapped = prometheus_client.Counter(
            "fhir_gateway_hl7v2_not_mapped",
            "Values of HL7 v2 messages that no rule took",
            ("site",),
            registry=self.registry,
        )
        self.sent = prometheus_client.Counter(
            "fhir_gateway_hl7v2_sent",
            "HL7 v2 messages of ours: sent, tried in vain, dead",
            ("destination", "state"),
            registry=self.registry,
        )
        self.destination_up = prometheus_client.Gauge(
            "fhir_gateway_hl7v2_destination_up",
            "Whether a destination took the last message (1) or failed it (0)",
            ("destination",),
            registry=self.registry,
        )

    def text(self) -> bytes:
        """The exposition format."""
        return prometheus_client.generate_latest(self.registry)
