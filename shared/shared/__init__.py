"""What every EM Agent service stands on: contracts, bus, database, HTTP, telemetry, settings."""

__version__ = "0.1.0"
