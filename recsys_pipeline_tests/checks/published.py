"""What the tests of the checks share: small landings, and paths of published files."""

from __future__ import annotations

from datetime import timedelta

from recsys_pipeline_tests.landed import START, event, land, settings_for


def events(tenant, day, count=4, kind="click"):
    return [event(tenant, day, n, f"u{n % 3}", f"i{n}", kind) for n in range(count)]


def bad_events(tenant, day, count):
    return [event(tenant, day, 50_000 + n, f"u{n}", "i1", "wink") for n in range(count)]


def three_days(root):
    """Land three days of two tenants; return their settings."""
    for day in range(3):
        land(root, events("acme", day) + events("beta", day), f"d{day}")
    return settings_for(root)


def data_path(root, day, asset="validated_interactions", tenant="acme"):
    """Return the file of a tenant's day."""
    when = START + timedelta(days=day)
    return root / f"{asset}/date={when}/tenant={tenant}/part-0.parquet"
