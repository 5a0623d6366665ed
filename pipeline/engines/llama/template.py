"""A model's chat template: what stands before the role's prompt, between it and the encounter's part, and behind.

The template is Jinja from the model's file, so it runs in a sandbox, and once only, with placeholders for the texts.
Thinking is switched off where the template knows `enable_thinking`; where it opens a thought, the thought is closed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import jinja2
import jinja2.sandbox

_SYSTEM, _USER = "SYSTEMPLACEHOLDER", "USERPLACEHOLDER"
_CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{{ '<|im_start|>assistant\\n' }}"
)
_OPEN_THOUGHT = re.compile(r"<(think|thinking|reasoning|thought)>\s*\Z", re.IGNORECASE)

#: The date that a template is told which asks for one: a repeat must get the same prompt.
_DATE = "01 Jan 2026"


class NotRendered(Exception):
    """The model's chat template does not give a system prompt and a user's text once each; use another file."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The template's own parts. Their special tokens count; those in the two texts between them are text."""

    before: str
    between: str
    after: str


def frame(source: str | None, *, bos: str, eos: str) -> Frame:
    """The parts of a template, of ChatML where the file has none. Raises NotRendered."""
    apart = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _USER}]
    together = [{"role": "user", "content": f"{_SYSTEM}\n\n{_USER}"}]  # a template that knows no system role
    for messages in (apart, together):
        parts = _parts(source or _CHATML, messages, bos, eos)
        if parts is not None:
            return parts
    raise NotRendered(NotRendered.__doc__)


def _environment() -> jinja2.sandbox.ImmutableSandboxedEnvironment:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda _format: _DATE
    return environment


def _refuse(message: object) -> NoReturn:
    raise jinja2.TemplateError(str(message))


def _parts(source: str, messages: list[dict[str, str]], bos: str, eos: str) -> Frame | None:
    names: dict[str, Any] = {"bos_token": bos, "eos_token": eos, "enable_thinking": False, "thinking": False}
    try:
        text = _environment().from_string(source).render(messages=messages, add_generation_prompt=True, **names)
    except (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError):
        return None
    before, found, rest = text.partition(_SYSTEM)
    between, also, after = rest.partition(_USER)
    if not (found and also) or _SYSTEM in rest or _USER in after:
        return None
    if thought := _OPEN_THOUGHT.search(after):
        after = f"{after.rstrip()}\n\n</{thought[1]}>\n\n"
    return Frame(before, between, after)


def cut(text: str, marks: re.Pattern[str] | None) -> list[str]:
    """A text in parts of which none holds a mark: each mark is cut behind its first character.

    Tokenised apart, what a patient says remains text even where it spells a special token.
    """
    if marks is None:
        return [text]
    parts, at = [], 0
    while mark := marks.search(text, at):
        parts.append(text[at : mark.start() + 1])
        at = mark.start() + 1
    return [*parts, text[at:]]


class Vocabulary(Protocol):
    """What tokenises a prompt: see library.Vocabulary."""

    @property
    def bos(self) -> list[int]: ...

    @property
    def marks(self) -> re.Pattern[str] | None: ...

    def tokens(self, text: str, is_special: bool) -> list[int]: ...


def prompt(parts: Frame, system: str, user: str, vocabulary: Vocabulary) -> tuple[list[int], int]:
    """The prompt's tokens, and how many at its beginning are the role's: the same for every patient."""

    def plain(text: str) -> list[int]:
        return [token for part in cut(text, vocabulary.marks) if part for token in vocabulary.tokens(part, False)]

    fixed = [*vocabulary.tokens(parts.before, True), *plain(system), *vocabulary.tokens(parts.between, True)]
    if fixed[: len(vocabulary.bos)] != vocabulary.bos:
        fixed = [*vocabulary.bos, *fixed]
    return [*fixed, *plain(user), *vocabulary.tokens(parts.after, True)], len(fixed)
