"""Settings of normalizer."""

from pydantic import Field

from shared.settings import DatabaseSettings


class Settings(DatabaseSettings):
    normalizer_port: int = Field(8001, description="Port of normalizer's HTTP server")
    retention_days: int = Field(90, ge=1, description="Days that bodies stay in the archive")
