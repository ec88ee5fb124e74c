"""Settings of the values given and the defaults, without a `.env` file."""

from __future__ import annotations

from recsys_pipeline.settings import Settings


def settings(**values) -> Settings:
    return Settings(_env_file=None, **values)
