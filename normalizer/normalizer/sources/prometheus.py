"""Prometheus Alertmanager."""

from typing import Any

import msgspec

from normalizer.alertmanager import translate_group
from normalizer.bodies import read
from normalizer.disposition import Disposition, Ignored
from shared.contracts.envelope import RawDelivery


class _Head(msgspec.Struct):
    alerts: Any = None


def translate(delivery: RawDelivery) -> Disposition:
    """A payload after the operator's own template has no alerts. Raises Untranslatable."""
    if read(delivery.body, _Head).alerts is None:
        return Ignored("unknown_event")
    return translate_group(delivery)
