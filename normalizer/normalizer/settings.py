"""Settings of normalizer."""

from pydantic import Field

from shared.settings import DatabaseSettings


class Settings(DatabaseSettings):
    normalizer_port: int = Field(8001, description="Port of normalizer's HTTP server")
