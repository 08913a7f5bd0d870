"""Gitea."""

from typing import Any

from normalizer.times import instant
from shared.contracts.events import Event
from tests.contracts.facts import Facts

KINDS = {
    "pull_request.opened": "change.opened",
    "pull_request.merged": "change.merged",
    "push": "commits.pushed",
    "release.published": "release.published",
    "review.approved": "change.reviewed",
}


def expected(entry: Facts, _: Any) -> list[str]:
    return [KINDS[entry["kind"]]]


def facts(_: Facts, body: Any, event: Event) -> Facts:
    found: Facts = {"repository": body["repository"]["full_name"]}
    if "pull_request" in body:
        change = body["pull_request"]
        found |= {
            "number": change["number"],
            "title": change["title"],
            "author": change["user"]["login"],
            "base_ref": change["base"]["ref"],
            "head_sha": change["head"]["sha"],
            "merge_sha": change.get("merge_commit_sha") if change.get("merged") else None,
            "merged_at": instant(change.get("merged_at")),
        }
    elif "release" in body:
        found |= {"tag": body["release"]["tag_name"], "occurred_at": instant(body["release"]["published_at"])}
    else:
        found |= {"before": body["before"], "after": body["after"], "actor": body["pusher"]["login"]}
    return found
