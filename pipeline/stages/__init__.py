"""The stages: from a consultation to its results, each a pure function of its inputs."""
