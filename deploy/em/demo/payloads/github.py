"""GitHub's objects as its webhooks show them: user, repository, pull request, deployment, run, issue."""

import base64
import hashlib
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from em.demo.cast import DEFAULT_BRANCH, INSTALLATION_ID, ORGANIZATION, ORGANIZATION_ID, Person, Service
from em.demo.facts import Build, Change, Commit, Deployment, Release, Repository, Ticket
from em.demo.words import LABELS

HTML_URL = "https://github.example.com"
AVATAR_URL = "https://avatars.example.com"
WORKFLOW_IDS = {
    "checkout": 88_120_114,
    "ledger": 88_120_377,
    "search-api": 88_204_905,
    "storefront": 88_231_440,
    "mailer": 88_240_018,
    "back-office": 88_251_630,
    "kiosk": 88_260_117,
    "kiosk-ui": 88_260_195,
}

Json = dict[str, Any]


def iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def node_id(prefix: str, number: int) -> str:
    return f"{prefix}_kwDO{base64.urlsafe_b64encode(number.to_bytes(6, 'big')).decode().rstrip('=')}"


def stable_id(base: int, *parts: object) -> int:
    """A number a platform might have given; equal parts give equal numbers."""
    digest = hashlib.sha256("\x00".join(map(str, parts)).encode()).digest()
    return base + int.from_bytes(digest[:4], "big")


@dataclass(frozen=True, slots=True)
class GitHub:
    """Writes the objects of one repository as they were at a given time."""

    repository: Repository
    api_url: str
    born_at: datetime
    _pushed_at: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pushed_at.extend(self.repository.pushed_at())

    @property
    def service(self) -> Service:
        return self.repository.service

    @property
    def repository_url(self) -> str:
        return f"{self.api_url}/repos/{self.service.full_name}"

    @property
    def html(self) -> str:
        return f"{HTML_URL}/{self.service.full_name}"

    # ---- who -----------------------------------------------------------------------------------------------

    def user(self, person: Person) -> Json:
        login = person.github
        kind, prefix = ("Bot", "BOT") if person.is_bot else ("User", "U")
        return _account(self.api_url, login, person.github_id, node_id(prefix, person.github_id), kind)

    def organization(self) -> Json:
        url = f"{self.api_url}/orgs/{ORGANIZATION}"
        return {
            "login": ORGANIZATION,
            "id": ORGANIZATION_ID,
            "node_id": node_id("O", ORGANIZATION_ID),
            "url": url,
            "repos_url": f"{url}/repos",
            "events_url": f"{url}/events",
            "hooks_url": f"{url}/hooks",
            "issues_url": f"{url}/issues",
            "members_url": f"{url}/members{{/member}}",
            "public_members_url": f"{url}/public_members{{/member}}",
            "avatar_url": f"{AVATAR_URL}/u/{ORGANIZATION_ID}?v=4",
            "description": "",
        }

    def installation(self) -> Json:
        return {"id": INSTALLATION_ID, "node_id": node_id("MDIz", INSTALLATION_ID)}

    # ---- repository ----------------------------------------------------------------------------------------

    def repository_at(self, at: datetime, *, in_push: bool = False) -> Json:
        """Push bodies tell ``created_at`` and ``pushed_at`` as epoch seconds, all others as text."""
        pushed_at = self._last_push(at)
        owner = _account(self.api_url, ORGANIZATION, ORGANIZATION_ID, node_id("O", ORGANIZATION_ID), "Organization")
        if in_push:
            owner = {"name": ORGANIZATION, "email": "team@tidewater.example.com", **owner}
        service = self.service
        body = {
            "id": service.repository_id,
            "node_id": node_id("R", service.repository_id),
            "name": service.repository,
            "full_name": service.full_name,
            "private": True,
            "owner": owner,
            "html_url": self.html,
            "description": service.description,
            "fork": False,
            **self._repository_urls(),
            "created_at": int(self.born_at.timestamp()) if in_push else iso(self.born_at),
            "updated_at": iso(pushed_at),
            "pushed_at": int(pushed_at.timestamp()) if in_push else iso(pushed_at),
            "git_url": f"git://github.example.com/{service.full_name}.git",
            "ssh_url": f"git@github.example.com:{service.full_name}.git",
            "clone_url": f"{self.html}.git",
            "svn_url": self.html,
            **_repository_settings(service),
        }
        return body | {"master_branch": DEFAULT_BRANCH, "organization": ORGANIZATION} if in_push else body

    def _repository_reference(self) -> Json:
        service = self.service
        return {
            "id": service.repository_id,
            "node_id": node_id("R", service.repository_id),
            "name": service.repository,
            "full_name": service.full_name,
            "private": True,
            "html_url": self.html,
            "description": service.description,
            "fork": False,
            "url": self.repository_url,
        }

    def _last_push(self, at: datetime) -> datetime:
        place = bisect_right(self._pushed_at, at)
        return self._pushed_at[place - 1] if place else self.born_at

    def _repository_urls(self) -> Json:
        url = self.repository_url
        return {"url": url} | {f"{name}_url": f"{url}/{path}" for name, path in _REPOSITORY_PATHS.items()}

    # ---- commits -------------------------------------------------------------------------------------------

    def commit(self, commit: Commit, *, distinct: bool) -> Json:
        author = {"name": commit.author.name, "email": commit.author.email, "username": commit.author.github}
        platform = {"name": "GitHub", "email": "noreply@github.example.com", "username": "web-flow"}
        return {
            "id": commit.sha,
            "tree_id": commit.tree,
            "distinct": distinct,
            "message": commit.message,
            "timestamp": commit.authored_at.isoformat(timespec="seconds"),
            "url": f"{self.html}/commit/{commit.sha}",
            "author": author,
            "committer": platform if commit.by_platform else author,
            "added": [],
            "removed": [],
            "modified": list(commit.files),
        }

    # ---- pull request --------------------------------------------------------------------------------------

    def pull_request(self, change: Change, at: datetime) -> Json:
        """The whole snapshot at ``at``; before the merge ``merge_commit_sha`` is only the test merge."""
        number, merged = change.number, change.merged_at is not None and change.merged_at <= at
        closed_at = change.closed_at if change.closed_at is not None and change.closed_at <= at else None
        head = next((p for p in reversed(change.pushes) if p.at <= at), change.pushes[0]).after
        commits = [c for push in change.pushes if push.at <= at for c in push.commits]
        api, html = f"{self.repository_url}/pulls/{number}", f"{self.html}/pull/{number}"
        issue_api = f"{self.repository_url}/issues/{number}"
        reviewers = self._awaited(change, at)
        return {
            "url": api,
            "id": self.change_id(change),
            "node_id": node_id("PR", self.change_id(change)),
            "html_url": html,
            "diff_url": f"{html}.diff",
            "patch_url": f"{html}.patch",
            "issue_url": issue_api,
            "number": number,
            "state": "closed" if closed_at else "open",
            "locked": False,
            "title": change.title,
            "user": self.user(change.author),
            "body": f"{change.title}.\n\nSee the commits for the reasons.",
            "created_at": iso(change.opened_at),
            "updated_at": iso(at),
            "closed_at": iso(closed_at) if closed_at else None,
            "merged_at": iso(closed_at) if closed_at and merged else None,
            "merge_commit_sha": change.merge_sha if merged else _test_merge(head),
            "assignee": None,
            "assignees": [],
            "requested_reviewers": [self.user(person) for person in reviewers],
            "requested_teams": [],
            "labels": [self.label(name) for name in self._labels(change, at)],
            "milestone": None,
            "draft": change.ready_at is not None and at < change.ready_at,
            "commits_url": f"{api}/commits",
            "review_comments_url": f"{api}/comments",
            "review_comment_url": f"{self.repository_url}/pulls/comments{{/number}}",
            "comments_url": f"{issue_api}/comments",
            "statuses_url": f"{self.repository_url}/statuses/{head}",
            "head": self._side(change.branch, head, at),
            "base": self._side(DEFAULT_BRANCH, change.base_sha, at),
            "_links": _links(api, html, issue_api, self.repository_url, head),
            "author_association": "MEMBER",
            "auto_merge": None,
            "active_lock_reason": None,
            "merged": merged,
            "mergeable": None if closed_at else True,
            "rebaseable": None if closed_at else True,
            "mergeable_state": "unknown" if closed_at else "clean",
            "merged_by": self.user(change.merged_by) if merged and change.merged_by else None,
            "comments": sum(comment.at <= at for comment in change.comments),
            "review_comments": 0,
            "maintainer_can_modify": False,
            "commits": len(commits),
            **_size(commits),
        }

    def change_id(self, change: Change) -> int:
        return stable_id(1_800_000_000, self.service.repository, "change", change.branch)

    def _awaited(self, change: Change, at: datetime) -> list[Person]:
        if change.requested_at is None or at < change.requested_at:
            return []
        answered = {review.by.key for review in change.reviews if review.at <= at}
        return [person for person in change.reviewers if person.key not in answered]

    def _labels(self, change: Change, at: datetime) -> tuple[str, ...]:
        return change.labels if change.labelled_at is not None and change.labelled_at <= at else ()

    def _side(self, ref: str, sha: str, at: datetime) -> Json:
        owner = _account(self.api_url, ORGANIZATION, ORGANIZATION_ID, node_id("O", ORGANIZATION_ID), "Organization")
        return {
            "label": f"{ORGANIZATION}:{ref}",
            "ref": ref,
            "sha": sha,
            "user": owner,
            "repo": self.repository_at(at),
        }

    def label(self, name: str) -> Json:
        number = stable_id(5_000_000_000, self.service.repository, "label", name)
        return {
            "id": number,
            "node_id": node_id("LA", number),
            "url": f"{self.repository_url}/labels/{name}",
            "name": name,
            "color": LABELS[name],
            "default": name in ("bug", "enhancement"),
            "description": "",
        }

    # ---- deployment, run, issue, release -------------------------------------------------------------------

    def deployment(self, deployment: Deployment, at: datetime) -> Json:
        url = f"{self.repository_url}/deployments/{deployment.id}"
        production = deployment.environment == "production"
        return {
            "url": url,
            "id": deployment.id,
            "node_id": node_id("DE", deployment.id),
            "task": "deploy",
            "original_environment": deployment.environment,
            "environment": deployment.environment,
            "description": None,
            "created_at": iso(deployment.created_at),
            "updated_at": iso(at),
            "statuses_url": f"{url}/statuses",
            "repository_url": self.repository_url,
            "creator": self.user(deployment.creator),
            "sha": deployment.sha,
            "ref": deployment.ref,
            "payload": {},
            "transient_environment": False,
            "production_environment": production,
            "performed_via_github_app": None,
        }

    def deployment_status(self, deployment: Deployment, state: str, at: datetime) -> Json:
        number = stable_id(6_000_000_000, deployment.id, state, at)
        url = f"{self.repository_url}/deployments/{deployment.id}"
        run = f"{self.html}/actions/runs/{deployment.run_id}"
        return {
            "url": f"{url}/statuses/{number}",
            "id": number,
            "node_id": node_id("DES", number),
            "state": state,
            "creator": self.user(deployment.creator),
            "description": "",
            "environment": deployment.environment,
            "target_url": run,
            "created_at": iso(at),
            "updated_at": iso(at),
            "deployment_url": url,
            "repository_url": self.repository_url,
            "environment_url": f"https://{self.service.name}.{deployment.environment}.tidewater.example.com",
            "log_url": run,
            "performed_via_github_app": None,
        }

    def workflow(self, name: str) -> Json:
        number = WORKFLOW_IDS[self.service.repository] + (name == "deploy")
        return {
            "id": number,
            "node_id": node_id("W", number),
            "name": name,
            "path": f".github/workflows/{name}.yml",
            "state": "active",
            "created_at": iso(self.born_at),
            "updated_at": iso(self.born_at),
            "url": f"{self.repository_url}/actions/workflows/{number}",
            "html_url": f"{self.html}/blob/{DEFAULT_BRANCH}/.github/workflows/{name}.yml",
            "badge_url": f"{self.html}/workflows/{name}/badge.svg",
        }

    def workflow_run(self, build: Build, at: datetime, status: str, pull_requests: list[Json]) -> Json:
        url = f"{self.repository_url}/actions/runs/{build.id}"
        workflow, suite = self.workflow(build.name), stable_id(20_000_000_000, "suite", build.id)
        previous = f"{url}/attempts/{build.attempt - 1}" if build.attempt > 1 else None
        commit = build.commit
        return {
            "id": build.id,
            "name": build.name,
            "node_id": node_id("WFR", build.id),
            "head_branch": build.branch,
            "head_sha": build.sha,
            "path": workflow["path"],
            "display_title": build.title,
            "run_number": build.number,
            "event": build.trigger,
            "status": status,
            "conclusion": build.conclusion if status == "completed" else None,
            "workflow_id": workflow["id"],
            "check_suite_id": suite,
            "check_suite_node_id": node_id("CS", suite),
            "url": url,
            "html_url": f"{self.html}/actions/runs/{build.id}",
            "pull_requests": pull_requests,
            "created_at": iso(build.steps[0][0]),
            "updated_at": iso(at),
            "actor": self.user(build.actor),
            "run_attempt": build.attempt,
            "referenced_workflows": [],
            "run_started_at": iso(build.steps[0][0]),
            "triggering_actor": self.user(build.actor),
            "jobs_url": f"{url}/jobs",
            "logs_url": f"{url}/logs",
            "check_suite_url": f"{self.repository_url}/check-suites/{suite}",
            "artifacts_url": f"{url}/artifacts",
            "cancel_url": f"{url}/cancel",
            "rerun_url": f"{url}/rerun",
            "previous_attempt_url": previous,
            "workflow_url": workflow["url"],
            "head_commit": {
                "id": commit.sha,
                "tree_id": commit.tree,
                "message": commit.message,
                "timestamp": iso(commit.authored_at),
                "author": {"name": commit.author.name, "email": commit.author.email},
                "committer": {"name": commit.author.name, "email": commit.author.email},
            },
            "repository": self._repository_reference(),
            "head_repository": self._repository_reference(),
        }

    def pull_request_reference(self, change: Change, sha: str) -> Json:
        repository = {
            "id": self.service.repository_id,
            "url": self.repository_url,
            "name": self.service.repository,
        }
        return {
            "url": f"{self.repository_url}/pulls/{change.number}",
            "id": self.change_id(change),
            "number": change.number,
            "head": {"ref": change.branch, "sha": sha, "repo": repository},
            "base": {"ref": DEFAULT_BRANCH, "sha": change.base_sha, "repo": repository},
        }

    def issue(self, ticket: Ticket | Change, at: datetime) -> Json:
        """An issue, or the issue side of a pull request when ``ticket`` is a change."""
        api, is_change = f"{self.repository_url}/issues/{ticket.number}", isinstance(ticket, Change)
        kind = "pull" if is_change else "issues"
        html = f"{self.html}/{kind}/{ticket.number}"
        closed_at = ticket.closed_at if ticket.closed_at is not None and ticket.closed_at <= at else None
        labels = () if isinstance(ticket, Change) else ((ticket.label,) if _labelled(ticket, at) else ())
        number = stable_id(2_400_000_000, self.service.repository, "issue", ticket.number)
        body: Json = {
            "url": api,
            "repository_url": self.repository_url,
            "labels_url": f"{api}/labels{{/name}}",
            "comments_url": f"{api}/comments",
            "events_url": f"{api}/events",
            "html_url": html,
            "id": number,
            "node_id": node_id("I", number),
            "number": ticket.number,
            "title": ticket.title,
            "user": self.user(ticket.author),
            "labels": [self.label(name) for name in labels],
            "state": "closed" if closed_at else "open",
            "locked": False,
            "assignee": None,
            "assignees": [],
            "milestone": None,
            "comments": 0,
            "created_at": iso(ticket.opened_at),
            "updated_at": iso(at),
            "closed_at": iso(closed_at) if closed_at else None,
            "author_association": "MEMBER",
            "active_lock_reason": None,
            "body": None,
            "reactions": _reactions(f"{api}/reactions"),
            "timeline_url": f"{api}/timeline",
            "performed_via_github_app": None,
            "state_reason": "completed" if closed_at else None,
        }
        if isinstance(ticket, Change):
            pull = f"{self.repository_url}/pulls/{ticket.number}"
            body["draft"] = False
            body["pull_request"] = {
                "url": pull,
                "html_url": html,
                "diff_url": f"{html}.diff",
                "patch_url": f"{html}.patch",
                "merged_at": None,
            }
        return body

    def issue_comment(self, change: Change, words: str, by: Person, at: datetime) -> Json:
        number = stable_id(2_900_000_000, self.service.repository, "comment", change.number, at)
        api = f"{self.repository_url}/issues/comments/{number}"
        return {
            "url": api,
            "html_url": f"{self.html}/pull/{change.number}#issuecomment-{number}",
            "issue_url": f"{self.repository_url}/issues/{change.number}",
            "id": number,
            "node_id": node_id("IC", number),
            "user": self.user(by),
            "created_at": iso(at),
            "updated_at": iso(at),
            "author_association": "MEMBER",
            "body": words,
            "reactions": _reactions(f"{api}/reactions"),
            "performed_via_github_app": None,
        }

    def review(self, change: Change, state: str, words: str, by: Person, at: datetime) -> Json:
        number = stable_id(2_200_000_000, self.service.repository, "review", change.number, at)
        html = f"{self.html}/pull/{change.number}#pullrequestreview-{number}"
        pull = f"{self.repository_url}/pulls/{change.number}"
        head = next(p for p in reversed(change.pushes) if p.at <= at).after
        return {
            "id": number,
            "node_id": node_id("PRR", number),
            "user": self.user(by),
            "body": words or None,
            "commit_id": head,
            "submitted_at": iso(at),
            "state": state,
            "html_url": html,
            "pull_request_url": pull,
            "author_association": "MEMBER",
            "_links": {"html": {"href": html}, "pull_request": {"href": pull}},
        }

    def release(self, release: Release) -> Json:
        number = stable_id(180_000_000, self.service.repository, "release", release.tag)
        api = f"{self.repository_url}/releases/{number}"
        return {
            "url": api,
            "assets_url": f"{api}/assets",
            "upload_url": f"{api}/assets{{?name,label}}",
            "html_url": f"{self.html}/releases/tag/{release.tag}",
            "id": number,
            "node_id": node_id("RE", number),
            "tag_name": release.tag,
            "target_commitish": DEFAULT_BRANCH,
            "name": release.tag,
            "draft": False,
            "author": self.user(release.author),
            "prerelease": False,
            "created_at": iso(release.published_at),
            "published_at": iso(release.published_at),
            "assets": [],
            "tarball_url": f"{self.repository_url}/tarball/{release.tag}",
            "zipball_url": f"{self.repository_url}/zipball/{release.tag}",
            "body": f"What changed up to {release.sha[:12]}.",
        }


_REPOSITORY_PATHS = {
    "forks": "forks",
    "keys": "keys{/key_id}",
    "collaborators": "collaborators{/collaborator}",
    "teams": "teams",
    "hooks": "hooks",
    "issue_events": "issues/events{/number}",
    "events": "events",
    "assignees": "assignees{/user}",
    "branches": "branches{/branch}",
    "tags": "tags",
    "blobs": "git/blobs{/sha}",
    "git_tags": "git/tags{/sha}",
    "git_refs": "git/refs{/sha}",
    "trees": "git/trees{/sha}",
    "statuses": "statuses/{sha}",
    "languages": "languages",
    "stargazers": "stargazers",
    "contributors": "contributors",
    "subscribers": "subscribers",
    "subscription": "subscription",
    "commits": "commits{/sha}",
    "git_commits": "git/commits{/sha}",
    "comments": "comments{/number}",
    "issue_comment": "issues/comments{/number}",
    "contents": "contents/{+path}",
    "compare": "compare/{base}...{head}",
    "merges": "merges",
    "archive": "{archive_format}{/ref}",
    "downloads": "downloads",
    "issues": "issues{/number}",
    "pulls": "pulls{/number}",
    "milestones": "milestones{/number}",
    "notifications": "notifications{?since,all,participating}",
    "labels": "labels{/name}",
    "releases": "releases{/id}",
    "deployments": "deployments",
}


def _repository_settings(service: Service) -> Json:
    return {
        "homepage": None,
        "size": 18_402,
        "stargazers_count": 0,
        "watchers_count": 0,
        "language": service.language,
        "has_issues": True,
        "has_projects": False,
        "has_downloads": True,
        "has_wiki": False,
        "has_pages": False,
        "has_discussions": False,
        "forks_count": 0,
        "mirror_url": None,
        "archived": False,
        "disabled": False,
        "open_issues_count": 0,
        "license": None,
        "allow_forking": False,
        "is_template": False,
        "web_commit_signoff_required": False,
        "topics": [],
        "visibility": "private",
        "forks": 0,
        "open_issues": 0,
        "watchers": 0,
        "default_branch": DEFAULT_BRANCH,
    }


def _account(api_url: str, login: str, number: int, node: str, kind: str) -> Json:
    url = f"{api_url}/users/{login}"
    return {
        "login": login,
        "id": number,
        "node_id": node,
        "avatar_url": f"{AVATAR_URL}/u/{number}?v=4",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{HTML_URL}/{login}",
        "followers_url": f"{url}/followers",
        "following_url": f"{url}/following{{/other_user}}",
        "gists_url": f"{url}/gists{{/gist_id}}",
        "starred_url": f"{url}/starred{{/owner}}{{/repo}}",
        "subscriptions_url": f"{url}/subscriptions",
        "organizations_url": f"{url}/orgs",
        "repos_url": f"{url}/repos",
        "events_url": f"{url}/events{{/privacy}}",
        "received_events_url": f"{url}/received_events",
        "type": kind,
        "site_admin": False,
    }


def _links(api: str, html: str, issue: str, repository: str, head: str) -> Json:
    hrefs = {
        "self": api,
        "html": html,
        "issue": issue,
        "comments": f"{issue}/comments",
        "review_comments": f"{api}/comments",
        "review_comment": f"{repository}/pulls/comments{{/number}}",
        "commits": f"{api}/commits",
        "statuses": f"{repository}/statuses/{head}",
    }
    return {name: {"href": href} for name, href in hrefs.items()}


def _size(commits: list[Commit]) -> Json:
    return {
        "additions": sum(int(commit.sha[:2], 16) for commit in commits),
        "deletions": sum(int(commit.sha[2:4], 16) // 3 for commit in commits),
        "changed_files": len({name for commit in commits for name in commit.files}),
    }


def _test_merge(head: str) -> str:
    return hashlib.sha1(f"test merge of {head}".encode(), usedforsecurity=False).hexdigest()


def _labelled(ticket: Ticket, at: datetime) -> bool:
    return ticket.labelled_at is not None and ticket.labelled_at <= at


def _reactions(url: str) -> Json:
    names = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")
    return {"url": url, "total_count": 0, **dict.fromkeys(names, 0)}
