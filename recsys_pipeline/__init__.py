"""Raw user-item events to validated data, features and training samples, as Dagster assets."""

__version__ = "0.1.0"
