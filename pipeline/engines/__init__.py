"""Engines: what does the work of a stage. The rules engine is the embedded default."""
