"""What a question asks of deployments and changes, as conditions of SQL.

Parameters $1 to $8 of every statement: services, start, end, starts of the pieces, environment, repository, label, and
of the author, as one array, the class and then accounts. `width_bucket` numbers the pieces from 1. A filter that nobody
asked for must not name its column: an index alone answers then.
"""

from metrics_svc.question import Question
from metrics_svc.store.known import Known

# Names each with its type, for a statement that may need none of them.
TYPED = """
    num_nulls($2::timestamptz, $3::timestamptz, $4::timestamptz[], $5::text, $6::text, $7::text, $8::text[]) >= 0
"""


def parameters(question: Question) -> tuple[object, ...]:
    return (
        list(question.services),
        question.span.start,
        question.span.end,
        [piece.start for piece in question.buckets],
        question.environment,
        question.repository,
        question.label,
        question.written_by,
    )


def piece(question: Question, moment: str) -> str:
    """Of a whole window it is a constant, by which nothing is sorted."""
    return f"width_bucket({moment}, $4::timestamptz[]) - 1" if question.grain else "cardinality($4::timestamptz[]) - 1"


def in_repository(parameter: int, *, parts: str = "part") -> str:
    """Of a production deployment `d`: it brought a commit of it."""
    in_part = f"SELECT FROM {parts} p WHERE p.deployment = d.id AND p.repository = ${parameter}"  # constants
    return f"(d.repository = ${parameter} OR EXISTS ({in_part}))"


def of_deployment(question: Question, source: Known) -> str:
    """Of a production deployment `d`."""
    environment = _filter(5, question.environment, "d.environment = $5")
    repository = _filter(6, question.repository, in_repository(6, parts=source.parts))
    return f"{environment} AND {repository} AND {_carries(question)}"


def of_change(question: Question) -> str:
    """Of the link `l` of a change."""
    return " AND ".join(
        (
            _filter(
                5,
                question.environment,
                "(SELECT d.environment FROM production_deployment d WHERE d.id = l.deployment) = $5",
            ),
            _filter(6, question.repository, "l.repository = $6"),
            _filter(7, question.label, "(SELECT $7 = ANY(c.labels) FROM change c WHERE c.id = l.change)"),
            _written_by(question),
        )
    )


def of_flow(question: Question) -> str:
    """Of the row `f` of a change in `change_flow`. It names no parameter that nobody asked for: see `TYPED`."""
    conditions = {
        "f.repository = $6": question.repository,
        "(SELECT $7 = ANY(of.labels) FROM change of WHERE of.id = f.change)": question.label,
        "f.author_class = ($8::text[])[1]": question.author_class,
        written_by("f.change", 8): question.authors,
    }
    return " AND ".join(condition for condition, value in conditions.items() if value is not None) or "true"


def written_by(change: str, parameter: int) -> str:
    """By one of the accounts that the array has after the class."""
    accounts = f"(${parameter}::text[])[2:]"
    return f"(SELECT of.source || ':' || lower(of.author) = ANY({accounts}) FROM change of WHERE of.id = {change})"  # noqa: S608  # constants


def _filter(parameter: int, value: str | None, condition: str) -> str:
    return f"${parameter}::text IS NULL" if value is None else condition


def _written_by(question: Question) -> str:
    of_class = "SELECT f.author_class = ($8::text[])[1] FROM change_flow f"
    asked = {
        f"({of_class} WHERE (f.change, f.service) = (l.change, l.service))": question.author_class,
        written_by("l.change", 8): question.authors,
    }
    return " AND ".join(each for each, value in asked.items() if value is not None) or "$8::text[] IS NOT NULL"


def _carries(question: Question) -> str:
    if question.label is None and question.author_class is None:
        return "$7::text IS NULL AND $8::text[] IS NOT NULL"
    return """
        EXISTS (
            SELECT FROM change_link l JOIN change c ON c.id = l.change
            LEFT JOIN change_flow f ON (f.change, f.service) = (l.change, l.service)
            WHERE l.deployment = d.id AND ($7::text IS NULL OR $7 = ANY(c.labels))
              AND (($8::text[])[1] IS NULL OR f.author_class = ($8::text[])[1]))
    """
