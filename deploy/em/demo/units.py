"""How numbers are said to people."""

from typing import Any

MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
TITLES = {
    "change_lead_time": "Change lead time",
    "deployment_frequency": "Deployment frequency",
    "change_fail_rate": "Change fail rate",
    "failed_deployment_recovery_time": "Recovery time",
    "deployment_rework_rate": "Rework rate",
}
EXPLAINED = {
    "change_lead_time": "median, first commit to production",
    "deployment_frequency": "production deployments per day",
    "change_fail_rate": "deployments that had to be mended",
    "failed_deployment_recovery_time": "median, failed deployment to recovery",
    "deployment_rework_rate": "rollbacks, reverts and hotfixes among deployments",
}
COUNTED = {
    "change_lead_time": "changes",
    "deployment_frequency": "deployments",
    "change_fail_rate": "deployments",
    "failed_deployment_recovery_time": "recoveries",
    "deployment_rework_rate": "deployments",
}


def said(metric: str, value: Any) -> tuple[str, str]:
    """Number and unit apart; a dash where there is no value."""
    if value is None:
        return "–", ""
    if metric in ("change_fail_rate", "deployment_rework_rate"):
        return f"{value * 100:.1f}", "%"
    if metric == "deployment_frequency":
        return f"{value:.2f}", "per day"
    return span(value)


def span(seconds: float) -> tuple[str, str]:
    if seconds < 2 * HOUR_S:
        return f"{seconds / MINUTE_S:.0f}", "min"
    if seconds < 2 * DAY_S:
        return f"{seconds / HOUR_S:.1f}", "h"
    return f"{seconds / DAY_S:.1f}", "days"


def thousands(number: int) -> str:
    """Groups of three parted by a narrow no-break space."""
    return f"{number:,}".replace(",", "\u202f")
