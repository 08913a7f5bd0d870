"""Settings of metrics-svc."""

from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from metrics_svc.schedule import read_schedule
from shared.settings import CatalogSettings


def _scheduled(text: str) -> str:
    read_schedule(text)
    return text


class Settings(CatalogSettings):
    metrics_svc_port: int = Field(8002, description="Port of metrics-svc's HTTP server")
    demo_page_path: Path | None = Field(None, description="Page served at /demo while DEMO=true")
    standup_at: Annotated[str, AfterValidator(_scheduled)] = Field(
        "mon-fri 09:00", description="When each team's standup is posted, where there is anything to say, or `never`"
    )
    sprint_at: Annotated[str, AfterValidator(_scheduled)] = Field(
        "never", description="When the health of each team's sprint is posted, e.g. `mon 09:00`, or `never`"
    )
    digest_timezone: ZoneInfo = Field(
        ZoneInfo("UTC"), description="IANA zone of these times, for teams that have none in the catalog"
    )
    people_metrics: bool = Field(False, description="Name single people in numbers about them (review_load)")
