"""FHIR R4 Subscriptions with the channel rest-hook: what is noted with each commit, and who delivers it."""
