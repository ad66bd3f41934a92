"""A catalog for many requests: it lives on one thread, and everybody asks that thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from upimagine.data.catalog import Catalog

T = TypeVar("T")


class CatalogThread:
    """Runs questions to one catalog one after the other; a wait for another writer never holds up the event loop."""

    def __init__(self, path: Path, tool: str) -> None:
        """Open the catalog. Raises UpimagineError as `Catalog`."""
        self._pool = ThreadPoolExecutor(1, "catalog")
        try:
            self._catalog = self._pool.submit(Catalog, path, tool=tool).result()
        except BaseException:
            self._pool.shutdown()
            raise

    def now(self, question: Callable[[Catalog], T]) -> T:
        """Ask and wait, from any other thread."""
        return self._pool.submit(question, self._catalog).result()

    async def ask(self, question: Callable[[Catalog], T]) -> T:
        """Ask from the event loop."""
        return await asyncio.wrap_future(self._pool.submit(question, self._catalog))

    def close(self) -> None:
        """Finish what was asked, then close the file."""
        self._pool.submit(self._catalog.close).result()
        self._pool.shutdown()
