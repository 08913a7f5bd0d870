"""Every metric name, once. No user, channel, repository or delivery id is ever a label."""

from prometheus_client import Counter, Gauge, Histogram

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
reconciler_missing = Gauge(
    "em_reconciler_missing", "Places in RAW, acknowledged, that the archive does not account for"
)
dispositions = Counter("em_dispositions_total", "Deliveries by what became of them", ["disposition", "reason"])

approvals_decisions = Counter("approvals_decisions_total", "Terminal transitions", ["status"])
approvals_conflicts = Counter("approvals_conflicts_total", "Votes refused", ["reason"])
approvals_effects = Counter("approvals_effects_total", "Effects tried", ["kind", "result"])

slack_posts = Counter("slack_posts_total", "Calls that change what Slack shows", ["kind", "ok"])
slack_errors = Counter("slack_post_errors_total", "Calls that failed", ["kind"])
notifications_held = Counter("em_notifications_held_total", "Messages law 9 held back", ["reason"])
