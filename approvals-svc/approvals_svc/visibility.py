"""Who sees what: services and labels of `visible_to` are hidden from everybody else, admins excepted. Pure."""

from collections.abc import Iterable, Set

from approvals_svc.model import Subject
from shared.catalog import Catalog, label_mark
from shared.http.auth import Identity

EVERYTHING: frozenset[str] = frozenset()


def hidden_from(identity: Identity, catalog: Catalog) -> frozenset[str]:
    """Names of services, and marks of labels."""
    return EVERYTHING if identity.role == "admin" else catalog.hidden_from(identity.subject)


def is_hidden(subject: Subject, hidden: Set[str]) -> bool:
    return not hidden.isdisjoint((subject.service, *marks(subject.facts.labels or ())))


def marks(labels: Iterable[str]) -> tuple[str, ...]:
    """Of what bears these labels."""
    return tuple(label_mark(label) for label in sorted(set(labels)))
