"""Runs: one durable workflow for each document that arrives, one checkpointed step for each stage."""
