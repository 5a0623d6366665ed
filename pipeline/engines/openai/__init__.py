"""Model servers over `/v1/chat/completions`: what they can do is found by asking, and nothing is sent before."""
