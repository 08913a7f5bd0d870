"""Words of platforms in ours: outcomes, names of branches, repositories out of URLs (sources.md, section 6)."""

import re
from urllib.parse import urlsplit

_OUTCOMES = {
    "succeeded": "success succeeded successful completed complete ok passed fixed good",
    "failed": "failure failed fail error errored timed_out timeout startup_failure infrastructure_fail unstable"
    " partiallysucceeded broken",
    "cancelled": "cancelled canceled aborted stopped not_run stale",
    "skipped": "skipped neutral not_built",
}
OUTCOMES = {word: ours for ours, words in _OUTCOMES.items() for word in words.split()}

_SCP = re.compile(r"(?:ssh://)?[\w.-]+@[\w.-]+(?::\d+/|[:/])(?P<path>.+)")
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+", re.ASCII)
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def outcome(word: str | None) -> str:
    """Ours for a platform's word in any case; `unknown` for one that is not listed, `action_required` for instance."""
    return OUTCOMES.get((word or "").strip().lower().replace("-", "_").replace(" ", "_"), "unknown")


def branch_of(ref: str | None) -> str:
    """`refs/heads/main` and `origin/main` are `main`; a tag is no branch."""
    name = ref or ""
    if name.startswith("refs/tags/"):
        return ""
    for prefix in ("refs/heads/", "refs/remotes/origin/", "origin/"):
        name = name.removeprefix(prefix)
    return name


def repository_of(url: str | None) -> str:
    """`owner/name` (with its groups) out of any spelling of a git URL; empty for what is none."""
    text = (url or "").strip()
    scp = _SCP.fullmatch(text)
    try:
        path = scp["path"] if scp else urlsplit(text).path if "://" in text and not text.startswith("oci:") else ""
    except ValueError:
        return ""
    path = path.strip("/").removesuffix(".git")
    return path if _PATH.fullmatch(path) else ""


def sha_of(revision: str | None) -> str:
    """A full commit id, or nothing: a chart's version and a branch's name are revisions too."""
    text = (revision or "").strip().lower()
    return text if _SHA.fullmatch(text) else ""
