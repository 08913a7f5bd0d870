"""Alerting rules name only metrics that exist, and say what to do first."""

import re
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
import yaml

from shared.telemetry import metrics

RULES = yaml.safe_load(Path("deploy/prometheus/alerts.yml").read_text())["groups"][0]["rules"]
PROMETHEUS_OWN = {"up"}
SUFFIXES = ("", "_total", "_created", "_bucket", "_sum", "_count")


def known() -> set[str]:
    assert metrics
    families = prometheus_client.REGISTRY.collect()
    return {f"{family.name}{suffix}" for family in families for suffix in SUFFIXES} | PROMETHEUS_OWN


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_rule_names_metrics_of_ours_and_what_to_do(rule: dict[str, Any]) -> None:
    named = set(re.findall(r"\b(?:(?:em|approvals|slack)_[a-z_]+|up\b)", re.sub(r"{[^}]*}", "", rule["expr"])))

    assert named
    assert named <= known()
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["action"]
