"""The prompts: one Markdown file a role, in German, with its version in the first line."""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import re
from dataclasses import dataclass

_HEAD = re.compile(r"<!-- version: (\d+) -->\n+")


@dataclass(frozen=True, slots=True)
class Prompt:
    """The fixed part of what a model is told for a stage: the same for all patients."""

    name: str
    version: int
    text: str

    @property
    def digest(self) -> str:
        """Version and the first 8 digits of the SHA-256 of the text: a change without a new version shows too."""
        return f"{self.version}-{hashlib.sha256(self.text.encode()).hexdigest()[:8]}"


@functools.cache
def load(name: str) -> Prompt:
    """The prompt of a stage. FileNotFoundError when there is none, ValueError without a version."""
    text = importlib.resources.files(__name__).joinpath(f"{name}.md").read_text("utf-8")
    head = _HEAD.match(text)
    if head is None:
        raise ValueError(f"The prompt {name} has no version in its first line.")
    return Prompt(name, int(head[1]), text[head.end() :].strip())
