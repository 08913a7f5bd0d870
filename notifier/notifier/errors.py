"""What each failure of a Slack call means for the message (slack.md, section 5.1). Pure."""

from collections.abc import Mapping
from typing import Literal

import msgspec

ErrorClass = Literal[
    "rate",  # wait as told, nothing was done
    "soft_cap",  # the channel's history is full for now: a long wait
    "not_sent",  # nothing left us, or nothing was done: again later
    "ambiguous",  # it may have happened: look before posting again
    "destination",  # this channel will not take it
    "payload",  # this content will not be taken
    "gone",  # the message to update can't be updated any more
    "auth",  # the token is no use: everything stops
    "unrecognised",  # a word not in this table: as ambiguous, but not for ever
]

RETRY_AFTER_DEFAULT_S = 30.0
RETRY_AFTER_MAX_S = 3600.0
SOFT_CAP_WAIT_S = 900.0

CLASSES: Mapping[ErrorClass, tuple[str, ...]] = {
    "rate": ("ratelimited", "rate_limited"),
    "soft_cap": ("message_limit_exceeded",),
    "not_sent": ("team_added_to_org", "org_login_required", "external_channel_migrating", "rollup_error"),
    "ambiguous": (
        "internal_error",
        "fatal_error",
        "request_timeout",
        "service_unavailable",
        "update_failed",
        "duplicate_channel_not_found",  # of `client_msg_id`: it was here before
        "duplicate_message_not_found",
    ),
    "destination": (
        "channel_not_found",
        "channel_is_archived",  # the webhooks' word
        "is_archived",
        "is_inactive",
        "not_in_channel",
        "no_permission",
        "restricted_action",
        "ekm_access_denied",
        "cannot_reply_to_message",
        "messages_tab_disabled",
        "team_access_not_granted",
        "team_not_found",
        "user_not_found",
        "user_not_in_channel",
        "user_disabled",
        "cannot_dm_bot",
        "action_prohibited",
        "posting_to_general_channel_denied",
        "no_service",  # a webhook that was taken away
        "no_active_hooks",
        "no_team",
        "no_webhook",  # ours: none is configured for that channel
    ),
    "payload": (
        "as_user_not_supported",
        "block_mismatch",
        "cant_broadcast_message",
        "invalid_arg_name",
        "invalid_arguments",
        "invalid_array_arg",
        "invalid_attachments",
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_charset",
        "invalid_form_data",
        "invalid_json",
        "invalid_payload",
        "invalid_post_type",
        "json_not_object",
        "markdown_text_conflict",
        "metadata_must_be_sent_from_app",
        "metadata_too_large",
        "missing_post_type",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_dual_broadcast_content_update",
        "no_text",
        "too_many_attachments",
        "too_many_contact_cards",
    ),
    "gone": ("message_not_found", "cant_update_message", "edit_window_closed", "streaming_state_conflict"),
    "auth": (
        "access_denied",
        "accesslimited",
        "account_inactive",
        "deprecated_endpoint",
        "enterprise_is_restricted",
        "invalid_auth",
        "invalid_token",
        "method_deprecated",
        "missing_scope",
        "not_allowed_token_type",
        "not_authed",
        "token_expired",
        "token_revoked",
        "two_factor_setup_required",
    ),
}
FAMILIES: Mapping[str, ErrorClass] = {
    "restricted_action": "destination",
    "slack_connect_": "payload",
    "invalid_blocks": "payload",
    "invalid_metadata_": "payload",
}
_BY_ERROR: Mapping[str, ErrorClass] = {error: kind for kind, errors in CLASSES.items() for error in errors}


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """`code`: Slack's word or the kind of network error; never a body, never a secret."""

    kind: ErrorClass
    code: str
    wait_s: float = 0.0


def answered(*, status: int, error: str, retry_after: str) -> Failure:
    """An answer that is not `ok`: by status where that decides, else by Slack's word; without one it is ambiguous."""
    if status == 429 or _BY_ERROR.get(error) == "rate":
        return Failure(kind="rate", code=error or "429", wait_s=_seconds(retry_after))
    if status >= 500 or not error:
        return Failure(kind="ambiguous", code=f"http_{status}")
    kind = class_of(error)
    return Failure(kind=kind, code=error, wait_s=SOFT_CAP_WAIT_S if kind == "soft_cap" else 0.0)


def class_of(error: str) -> ErrorClass:
    if error in _BY_ERROR:
        return _BY_ERROR[error]
    return next((kind for start, kind in FAMILIES.items() if error.startswith(start)), "unrecognised")


def _seconds(retry_after: str) -> float:
    """Absent, garbage and absurd values must neither hammer Slack nor stop us for a day."""
    if not (retry_after.isascii() and retry_after.isdigit()):
        return RETRY_AFTER_DEFAULT_S
    return min(float(retry_after), RETRY_AFTER_MAX_S)
