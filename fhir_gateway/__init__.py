"""The gateway service: REST, EHR client, store, runs and command line. Holds no clinical rule and no mapping."""

from __future__ import annotations

import importlib.metadata

__version__ = importlib.metadata.version("fhir-gateway")
