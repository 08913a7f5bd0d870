"""Amazon EventBridge: ECS, CodeDeploy, CodeBuild, CodePipeline; by an API destination or through SNS."""

from ingest.readers import field, first, header
from ingest.schemes import SignedOrToken, Sns, Token
from ingest.source import Source

SOURCE = Source(
    name="ecs",
    title="Amazon ECS and CodeDeploy",
    scheme=SignedOrToken(signed=Sns(), token=Token()),
    delivery_id=first(field("id"), header("x-amz-sns-message-id")),
    event_name=first(field("detail-type"), header("x-amz-sns-message-type")),
    limit_s=5,
    grades=frozenset({"payload", "facts", "sequence"}),
)
