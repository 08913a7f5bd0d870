"""Amazon CloudWatch alarms through SNS; what else a topic carries is translated where it is an event."""

import msgspec

from normalizer.bodies import moment, needed_moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.eventbridge import is_event, translate_event
from normalizer.sns import message_of
from normalizer.times import Spelling
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import Alert, AlertFired, AlertResolved

ALARM, OK = "ALARM", "OK"
STATES = frozenset({ALARM, OK, "INSUFFICIENT_DATA"})


class _Dimension(msgspec.Struct):
    name: str | None = None
    value: str | None = None


class _Trigger(msgspec.Struct, rename="pascal"):
    metric_name: str | None = None
    namespace: str | None = None
    dimensions: list[_Dimension] | None = None


class _Alarm(msgspec.Struct, rename="pascal"):
    alarm_name: str
    alarm_arn: str | None = None
    a_w_s_account_id: str | None = msgspec.field(name="AWSAccountId", default=None)
    region: str | None = None
    new_state_value: str | None = None
    old_state_value: str | None = None
    new_state_reason: str | None = None
    state_change_time: Spelling = None
    trigger: _Trigger | None = None


class _Head(msgspec.Struct, rename="pascal"):
    new_state_value: str | None = None


def translate(delivery: RawDelivery) -> Disposition:
    """Raises Untranslatable."""
    message = message_of(delivery.body)
    if isinstance(message, Ignored):
        return message
    if is_event(message):
        return translate_event(message)
    if read(message, _Head).new_state_value not in STATES:
        return Ignored("unknown_event")
    return _translate_alarm(read(message, _Alarm))


def _translate_alarm(alarm: _Alarm) -> Disposition:
    """Only from ALARM to OK is an end: what had no data was no alarm."""
    if alarm.new_state_value == ALARM:
        return Events((_alert(AlertFired, alarm),))
    if alarm.new_state_value == OK and alarm.old_state_value == ALARM:
        return Events((_alert(AlertResolved, alarm),))
    return Ignored("no_fact")


def _alert(kind: type[Alert], alarm: _Alarm) -> Alert:
    """Fired and resolved have the alarm in common, not the moment: it fires again under the same key."""
    trigger = alarm.trigger or _Trigger()
    dimensions = [each for each in trigger.dimensions or () if each.name and each.value]
    where = alarm.alarm_arn or f"{alarm.a_w_s_account_id or ''}:{alarm.region or ''}:{alarm.alarm_name}"
    return kind(
        occurred_at=needed_moment("StateChangeTime", alarm.state_change_time),
        alert_id=where,
        title=alarm.alarm_name,
        rule=trigger.metric_name or "",
        service_name=next((each.value or "" for each in dimensions if each.name == "ServiceName"), ""),
        labels=tuple(f"{each.name}:{each.value}" for each in dimensions),
        fired_at=moment("StateChangeTime", alarm.state_change_time) if kind is AlertFired else None,
    )
