"""One living message per thing, in Slack."""
