"""The durable store: resource versions, what was received, the search index and the stage outputs."""
