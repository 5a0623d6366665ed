"""Who may be at work together: many at once, or one alone, before whom the many wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Turns:
    """Requests go together. One during which the process died goes alone, so that it can harm no other again."""

    def __init__(self) -> None:
        self._together = 0
        self._alone = 0  # that wait or are at work
        self._is_taken = False
        self._changed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Beside others, once nobody wants to be alone."""
        while self._alone:
            await self._changed.wait()
        self._together += 1
        try:
            yield
        finally:
            self._together -= 1
            self._tell()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Without any other."""
        self._alone += 1
        is_mine = False
        try:
            while self._together or self._is_taken:
                await self._changed.wait()
            is_mine = self._is_taken = True
            yield
        finally:
            self._alone -= 1
            self._is_taken = self._is_taken and not is_mine
            self._tell()

    def _tell(self) -> None:
        """Wake all who wait, to look again."""
        self._changed.set()
        self._changed = asyncio.Event()
