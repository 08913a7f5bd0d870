"""Which changes may have moved in a window: indexes tell, however much was before it and came after."""

# A change moves while it is open. Of those that ended long after a window only what was open for long has moved in it,
# which has an index of spans: the expressions are those of migration 0016, word for word.
_BEGUN = "least(opened_at, ready_at, first_review_at, approved_at, ended_at)"
_LONG = f"ended_at - {_BEGUN} > interval '720 hours'"
_SPAN = f"tstzrange({_BEGUN}, ended_at, '[]')"
# After its end a change is reviewed for as long at most: what is said later is no review of it.
REVIEWED_FOR = "interval '720 hours'"
_COLUMNS = (
    "change, repository, author_class, self_reviewed, ready_at, first_review_at, approved_at, last_activity_at,"
    " merged_at, ended_at, review_rounds, size, lines"
)


def moving(start: str, end: str) -> str:
    """Rows of `change_flow` that were open at some time from `start` until `end`, and some others; SQL of both.

    The service of long ones is an expression: no index of services, which would lead to all of them, is of use then.
    """
    soon = f"({end})::timestamptz + interval '720 hours'"
    return f"""(
        SELECT service, {_COLUMNS} FROM change_flow WHERE ended_at >= {start} AND ended_at < {soon}
        UNION ALL
        SELECT service || '', {_COLUMNS} FROM change_flow
        WHERE (ended_at < {soon}) IS FALSE AND {_LONG} AND {_SPAN} && tstzrange({start}, {end})
        UNION ALL
        SELECT service, {_COLUMNS} FROM change_flow WHERE ended_at IS NULL
    )"""  # noqa: S608  # constants
