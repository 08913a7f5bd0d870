"""What checks of code say: coverage and quality gates."""

import msgspec

from shared.contracts.events.base import Event


class Condition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One condition of a gate; `value` is missing where nothing was measured."""

    metric: str
    status: str  # passed, warning, failed, none
    value: str = ""
    threshold: str = ""


class QualityReported(Event, frozen=True, kw_only=True, tag="quality.reported"):
    """`coverage` in percent; `gate` is `passed`, `warning`, `failed` or `none`, empty where the tool has no gate."""

    project: str
    repository: str = ""
    branch: str = ""
    sha: str = ""
    number: int | None = None  # of the change that was checked
    coverage: float | None = None
    coverage_base: float | None = None
    gate: str = ""
    conditions: tuple[Condition, ...] = ()
    url: str = ""
