"""Sends the notices of landed uploads beside the requests: no answer waits for a broker."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from recsys_pipeline.engines.notices import send_notices
from recsys_pipeline.errors import RecsysError
from recsys_pipeline.kafka.config import is_configured
from recsys_pipeline.storage.objects import open_store

if TYPE_CHECKING:
    from recsys_pipeline.settings import Settings

logger = logging.getLogger("recsys.api")

AGAIN_SECONDS = 30.0  # after a broker was down; notices_sensor sends them too
GATHER_SECONDS = 0.2  # one go for many uploads


class NoticeSender:
    """A thread that sends what is owed whenever it is woken.

    Args:
        settings: Without brokers it does nothing.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._woken = threading.Event()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, with what a crash has left."""
        if is_configured(self._settings):
            self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
            self._thread.start()
            self.wake()

    def wake(self) -> None:
        """Send soon: something has landed."""
        self._woken.set()

    def stop(self) -> None:
        """Send what is owed once more, and end."""
        self._over.set()
        self.wake()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        objects = open_store(self._settings.storage_root)
        is_last = False
        while not is_last:
            self._woken.wait()
            self._over.wait(GATHER_SECONDS)
            self._woken.clear()
            # looked at after the clear, so that a stop is either seen here or wakes again
            is_last = self._over.is_set()
            try:
                send_notices(self._settings, objects)
            except (RecsysError, OSError) as error:
                logger.warning("notices are sent later", exc_info=error)
                self._over.wait(AGAIN_SECONDS)
                self.wake()
