"""Amazon CloudWatch alarms, or whatever an SNS topic of ours carries."""

from ingest.readers import field, first, header
from ingest.schemes import Sns
from ingest.source import Source

SOURCE = Source(
    name="cloudwatch",
    title="Amazon CloudWatch and any SNS topic",
    scheme=Sns(),
    delivery_id=first(header("x-amz-sns-message-id"), field("MessageId")),
    event_name=first(header("x-amz-sns-message-type"), field("Type")),
    secret_variables=("CLOUDWATCH_TOPIC_ARNS",),
    limit_s=15,
    grades=frozenset({"payload", "vector", "facts", "sequence"}),
)
