"""The role prompts whose KV is kept: computed once, in sequences of their own, and copied to each request's sequence.

Only the tokens that are the same for every patient are ever put here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Prefix:
    """The beginning of a prompt; `done` of its tokens are computed, `users` requests at work began with it."""

    tokens: tuple[int, ...]
    sequence: int
    done: int = 0
    users: int = 0
    used: int = field(default=0)

    @property
    def is_ready(self) -> bool:
        return self.done == len(self.tokens)


class Prefixes:
    """At most one prefix for each of `sequences`; `free` forgets a sequence. The one unused for longest goes first."""

    def __init__(self, sequences: Iterable[int], free: Callable[[int], None]) -> None:
        self._vacant = list(sequences)
        self._free = free
        self._kept: dict[tuple[int, ...], Prefix] = {}
        self._clock = itertools.count()

    @property
    def unused_tokens(self) -> int:
        """Tokens of the prefixes that no request at work has taken into its own account."""
        return sum(len(prefix.tokens) for prefix in self._kept.values() if not prefix.users)

    def take(self, tokens: tuple[int, ...]) -> Prefix | None:
        """The prefix for one more request; None when all sequences are taken by others at work."""
        prefix = self._kept.get(tokens)
        if prefix is None:
            if not self._vacant and not self.give_up():
                return None
            prefix = self._kept[tokens] = Prefix(tokens, self._vacant.pop())
        prefix.users += 1
        prefix.used = next(self._clock)
        return prefix

    def leave(self, prefix: Prefix) -> None:
        """A request has ended. What nobody waits for any more is not computed to its end."""
        prefix.users -= 1
        if not prefix.users and not prefix.is_ready:
            self._forget(prefix)

    def give_up(self) -> bool:
        """Forget the one that is unused for longest; False when all are in use."""
        unused = [prefix for prefix in self._kept.values() if not prefix.users]
        if not unused:
            return False
        self._forget(min(unused, key=lambda prefix: prefix.used))
        return True

    def _forget(self, prefix: Prefix) -> None:
        self._free(prefix.sequence)
        del self._kept[prefix.tokens]
        self._vacant.append(prefix.sequence)
