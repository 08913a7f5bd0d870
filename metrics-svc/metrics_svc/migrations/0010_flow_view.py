"""Daily flow of changes as a view, read by the role `grafana`."""

from alembic import op

revision = "0010"
down_revision = "0009"

# Each number is counted on the day of the event that ends it: a median of a day is of that day's events.
V_FLOW_DAILY = """
CREATE VIEW v_flow_daily AS
SELECT e.service, coalesce(s.team, '') AS team, e.day,
       (count(*) FILTER (WHERE e.what = 'merge'))::int AS merged,
       (count(*) FILTER (WHERE e.what = 'merge' AND e.size = 'XS'))::int AS merged_xs,
       (count(*) FILTER (WHERE e.what = 'merge' AND e.size = 'S'))::int AS merged_s,
       (count(*) FILTER (WHERE e.what = 'merge' AND e.size = 'M'))::int AS merged_m,
       (count(*) FILTER (WHERE e.what = 'merge' AND e.size = 'L'))::int AS merged_l,
       (count(*) FILTER (WHERE e.what = 'merge' AND e.size = 'XL'))::int AS merged_xl,
       (count(e.seconds) FILTER (WHERE e.what = 'pickup'))::int AS pickup_n,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY e.seconds) FILTER (WHERE e.what = 'pickup') AS pickup_p50_s,
       (count(e.seconds) FILTER (WHERE e.what = 'review'))::int AS review_n,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY e.seconds) FILTER (WHERE e.what = 'review') AS review_p50_s,
       (count(e.seconds) FILTER (WHERE e.what = 'cycle'))::int AS cycle_n,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY e.seconds) FILTER (WHERE e.what = 'cycle') AS cycle_p50_s
FROM (
    SELECT f.service, (f.merged_at AT TIME ZONE 'UTC')::date AS day, 'merge' AS what, f.size, NULL::float8 AS seconds
    FROM change_flow f WHERE f.merged_at IS NOT NULL
    UNION ALL
    SELECT f.service, (f.first_review_at AT TIME ZONE 'UTC')::date, 'pickup', '',
           extract(epoch FROM f.first_review_at - f.ready_at)::float8
    FROM change_flow f WHERE f.first_review_at >= f.ready_at
    UNION ALL
    SELECT f.service, (f.approved_at AT TIME ZONE 'UTC')::date, 'review', '',
           extract(epoch FROM f.approved_at - f.first_review_at)::float8
    FROM change_flow f WHERE f.approved_at >= f.first_review_at
    UNION ALL
    SELECT l.service, (l.deployed_at AT TIME ZONE 'UTC')::date, 'cycle', '', l.lead_time_s
    FROM change_link l WHERE l.lead_time_s IS NOT NULL
) AS e LEFT JOIN service s ON s.name = e.service
GROUP BY 1, 2, 3
"""
COMMENTS = {
    "VIEW v_flow_daily": "Days in UTC of a service on which changes moved; sum the counts, never average the medians.",
    "COLUMN v_flow_daily.service": "The service of the repository.",
    "COLUMN v_flow_daily.team": "The team of the service; empty where the catalog names none.",
    "COLUMN v_flow_daily.day": "The day in UTC; a day on which nothing moved has no row.",
    "COLUMN v_flow_daily.merged": "Changes merged on the day, those of unknown size among them.",
    "COLUMN v_flow_daily.merged_xs": "Of them those with at most 10 lines changed.",
    "COLUMN v_flow_daily.merged_s": "11 to 100 lines.",
    "COLUMN v_flow_daily.merged_m": "101 to 400 lines.",
    "COLUMN v_flow_daily.merged_l": "401 to 1,000 lines.",
    "COLUMN v_flow_daily.merged_xl": "More than 1,000 lines.",
    "COLUMN v_flow_daily.pickup_n": "Changes that were reviewed first on the day.",
    "COLUMN v_flow_daily.pickup_p50_s": "Median seconds from ready to that first review.",
    "COLUMN v_flow_daily.review_n": "Changes whose last approval was on the day.",
    "COLUMN v_flow_daily.review_p50_s": "Median seconds from the first review to that approval.",
    "COLUMN v_flow_daily.cycle_n": "Changes deployed on the day that have a lead time.",
    "COLUMN v_flow_daily.cycle_p50_s": "Median seconds from the first commit to that deployment.",
}
GRANT = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'grafana') THEN
        GRANT SELECT ON v_flow_daily TO grafana;
    END IF;
END $$
"""


def upgrade() -> None:
    op.execute(V_FLOW_DAILY)
    for what, comment in COMMENTS.items():
        op.execute(f"COMMENT ON {what} IS '{comment}'")
    op.execute(GRANT)
