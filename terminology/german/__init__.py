"""The German language: sentences, numbers, self-corrections, negation and certainty, neutral wording, vocabulary."""
