"""Settings of metrics-svc."""

from pathlib import Path

from pydantic import Field

from shared.settings import CatalogSettings


class Settings(CatalogSettings):
    metrics_svc_port: int = Field(8002, description="Port of metrics-svc's HTTP server")
    demo_page_path: Path | None = Field(None, description="Page served at /demo while DEMO=true")
    people_metrics: bool = Field(False, description="Name single people in numbers about them (review_load)")
