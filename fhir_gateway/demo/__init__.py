"""The demonstration: one bundled consultation through a gateway of its own, over HTTP as a record system does it."""
