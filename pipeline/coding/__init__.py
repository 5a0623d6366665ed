"""From the statements of a note to coded diagnoses: what is named, how specific, what stands beside what, and why."""
