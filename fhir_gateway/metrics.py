"""Prometheus metrics. Labels are our own words only: no id and no text of a patient."""

from __future__ import annotations

import prometheus_client

from pipeline import results


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

        self.model_answers = prometheus_client.Counter(
            "fhir_gateway_model_answers",
            "Questions to models: used, ungrounded (refused by the gate), or how they failed",
            ("model", "stage", "outcome"),
            registry=self.registry,
        )
        self.model_tokens = prometheus_client.Counter(
            "fhir_gateway_model_tokens",
            "Tokens of models: prompt, shared (of the prompt, not computed again), answer, thinking (of the answer)",
            ("model", "stage", "kind"),
            registry=self.registry,
        )
        self.model_seconds = prometheus_client.Histogram(
            "fhir_gateway_model_seconds",
            "Time from a question to its answer, the wait for a slot included",
            ("model", "stage"),
            buckets=(0.1, 0.3, 1, 3, 10, 30, 60, 120, 300),
            registry=self.registry,
        )

    def asked(self, stage: str, work: results.Work) -> None:
        """Count the questions that a stage put to models."""
        for attempt in work.attempts:
            self.model_answers.labels(attempt.model, stage, attempt.outcome).inc()
            self.model_seconds.labels(attempt.model, stage).observe(attempt.wall_seconds)
            for kind, count in (
                ("prompt", attempt.prompt_tokens),
                ("shared", attempt.shared_tokens),
                ("answer", attempt.tokens),
                ("thinking", attempt.thinking_tokens),
            ):
                self.model_tokens.labels(attempt.model, stage, kind).inc(count)

    def text(self) -> bytes:
        """The exposition format."""
        return prometheus_client.generate_latest(self.registry)
