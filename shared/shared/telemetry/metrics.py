"""Every metric name, once. No user, channel, repository or delivery id is ever a label."""

from prometheus_client import Counter, Gauge, Histogram

HOUR_S = 3600
DAY_S = 24 * HOUR_S

http_requests = Counter("http_requests_total", "HTTP requests", ["service", "method", "route", "status_class"])
http_request_duration = Histogram("http_request_duration_seconds", "Time to answer", ["service", "method", "route"])

deliveries_accepted = Counter("em_ingest_accepted_total", "Deliveries on disk", ["source", "status"])
deliveries_rejected = Counter("em_ingest_rejected_total", "Deliveries refused", ["source", "reason"])
publish_duration = Histogram("em_nats_publish_duration_seconds", "From publish to the broker's acknowledgement")
publish_batch = Histogram(
    "em_nats_publish_batch_messages", "Messages that shared one commit", buckets=(4, 8, 16, 32, 64, 128, 256)
)
publish_batch_failures = Counter(
    "em_nats_publish_batch_failures_total", "Batches not taken whole; their messages went one by one", ["error"]
)
spool_records = Gauge("em_spool_records", "Deliveries on ingest's own disk, not yet drained")
spool_bytes = Gauge("em_spool_bytes", "Size of the spool")
spool_appended = Counter("em_spool_appended_total", "Deliveries that went to the spool")
spool_refused = Counter("em_spool_refused_total", "Spooled deliveries that the broker will never take, set aside")
spool_damaged = Counter("em_spool_damaged_total", "Spooled deliveries whose bytes the disk changed, set aside")
secret_slot_used = Counter("em_secret_slot_used_total", "Which live secret matched", ["source", "slot"])
integration_enabled = Gauge("em_integration_enabled", "1: enabled and has its secret", ["source"])

nats_connected = Gauge("em_nats_connected", "1: connected to the broker")
nats_reconnects = Counter("em_nats_reconnects_total", "Reconnections to the broker")
nats_denials = Counter("em_nats_denials_total", "Subjects that the broker denied this user")
nats_errors = Counter("em_nats_errors_total", "Asynchronous errors of the connection", ["error"])

consumer_messages = Counter("em_consumer_messages_total", "Messages settled", ["consumer", "outcome"])
consumer_batch_duration = Histogram("em_consumer_batch_seconds", "Fetched to acknowledged", ["consumer"])
consumer_lag = Gauge("em_consumer_lag_seconds", "Age of the last message handled", ["consumer"])
consumer_redelivered = Counter("em_consumer_redelivered_total", "Messages seen again", ["consumer"])
consumer_last_success = Gauge("em_last_success_timestamp_seconds", "Last fetch that worked", ["consumer"])
consumer_pending = Gauge("em_consumer_pending", "Messages not yet handed out to the consumer", ["consumer"])
consumer_in_suspicion = Gauge("em_consumer_suspects", "Messages waiting to run alone", ["consumer"])
handler_failures = Counter("em_handler_failures_total", "Handlers that failed unexpectedly", ["consumer", "error"])
subject_paused = Gauge("em_subject_paused", "1: paused until resumed by a person", ["consumer", "subject"])
dead_letters = Counter("em_dead_letters_total", "Messages given up", ["consumer"])
outbox_oldest = Gauge("em_outbox_oldest_seconds", "Age of the oldest message not yet published", ["service"])
outbox_published = Counter("em_outbox_published_total", "Messages the relay published", ["service"])

catalog_invalid = Gauge("em_catalog_invalid", "1: the catalog's file can't be used, an older version is kept")
policy_invalid = Gauge("em_policy_invalid", "1: the policy's file can't be used, an older version is kept")
routes_invalid = Gauge("em_routes_invalid", "1: the routes' file can't be used, an older version is kept")
reconciler_missing = Gauge(
    "em_reconciler_missing", "Places in RAW, acknowledged, that the archive does not account for"
)
ledger_mismatch = Gauge("em_ledger_mismatch", "Unaccounted for when `em` last compared", ["part"])
ledger_checked = Gauge("em_ledger_checked_timestamp_seconds", "When `em` last compared", ["part"])
dispositions = Counter("em_dispositions_total", "Deliveries by what became of them", ["disposition", "reason"])

# Counted from committed rows, each by one replica: sum them. Gauges are the same on every replica: take the maximum.
approvals_decisions = Counter("approvals_decisions_total", "Decisions: the one way out of pending", ["status"])
approvals_latency = Histogram(
    "approvals_latency_seconds",
    "From the request to the decision",
    buckets=(
        *(1, 5, 15, 30, 60, 5 * 60, 15 * 60, 30 * 60),
        *(HOUR_S, 2 * HOUR_S, 4 * HOUR_S, 8 * HOUR_S, DAY_S, 2 * DAY_S, 3 * DAY_S, 7 * DAY_S),
    ),
)
approvals_override = Counter("approvals_override_total", "Votes changed, revoked, glass broken", ["from", "to"])
workflows_auto_vs_hitl = Counter(
    "workflows_auto_vs_hitl_total", "Workflows at their end: auto where no person was asked, else hitl", ["mode"]
)
approvals_conflicts = Counter("approvals_conflicts_total", "Votes refused", ["reason"])
approvals_effects = Counter("approvals_effects_total", "Tries of effects that ended", ["kind", "result"])
approvals_opa_answers = Counter("approvals_opa_answers_total", "Questions to OPA by how it answered", ["result"])
approvals_gate_callback = Histogram(
    "approvals_gate_callback_seconds",
    "From the decision to the gate's confirmation",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 5 * 60, 10 * 60, HOUR_S),
)
approvals_pending = Gauge("approvals_pending", "Approvals that wait, by how long they do", ["age"])
approvals_oldest_pending = Gauge("approvals_oldest_pending_seconds", "Age of the approval that waits longest")
approvals_sla_breached = Gauge("approvals_sla_breached", "Approvals that wait longer than APPROVALS_SLA_S")
approvals_waiters = Gauge("approvals_waiters", "Requests that wait here until an approval is decided")
approvals_audit_verify_failures = Counter(
    "approvals_audit_verify_failures_total", "Runs of `em approvals verify` that found a bad row"
)

auth_logins = Counter("em_auth_logins_total", "Logins: ok, refused, limited", ["result"])
auth_refreshes = Counter("em_auth_refreshes_total", "Refresh tokens: ok, refused, and those used before", ["result"])

slack_posts = Counter("slack_posts_total", "Calls that change what Slack shows", ["kind", "ok"])
slack_errors = Counter("slack_post_errors_total", "Calls that failed", ["kind"])
slack_limited = Counter("slack_429_total", "Calls that Slack refused for being too many", ["job"])
slack_reconciled = Counter(
    "slack_reconciled_total", "Looks for a post without an answer: found, missing, failed", ["result"]
)
slack_in_doubt = Counter("slack_in_doubt_total", "Posts that may have happened", ["way"])
slack_waited = Histogram(
    "slack_waited_seconds",
    "From when a message could go until its turn",
    ["lane"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 5 * 60, 15 * 60, HOUR_S),
)
slack_queue = Gauge("slack_queue_messages", "Messages whose time has come and that are not shown yet", ["lane"])
slack_queue_oldest = Gauge("slack_queue_oldest_seconds", "How long the first of them has waited", ["lane"])
slack_quota_posts = Counter("quota_slack_posts_total", "Posts that count against MAX_DAILY_SLACK_POSTS")
slack_quota_left = Gauge("slack_quota_left_posts", "Posts of today left for others than approvals and incidents")
slack_channels_barred = Counter("slack_channels_barred_total", "Channels found to take nothing any more")
notifications_held = Counter("em_notifications_held_total", "Messages law 9 held back", ["reason"])
