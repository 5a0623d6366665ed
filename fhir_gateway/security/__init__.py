"""Who may come in, and who read or wrote what."""
