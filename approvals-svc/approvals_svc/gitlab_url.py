"""Addresses in GitLab's API, built from our own settings, checked names and numbers. Pure."""

import re
from urllib.parse import quote

from approvals_svc.gate_rules import UnsafeReference

NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}"
PROJECT = re.compile(rf"{NAME}(?:/{NAME}){{1,20}}")
NUMBER = re.compile(r"[0-9]{1,20}")


def deployment_url(api_url: str, *, project: str, deployment_id: str) -> str:
    """Raises UnsafeReference."""
    return f"{_project_url(api_url, project)}/deployments/{_number(deployment_id, 'deployment')}"


def job_url(api_url: str, *, project: str, job_id: str) -> str:
    """Raises UnsafeReference."""
    return f"{_project_url(api_url, project)}/jobs/{_number(job_id, 'job')}"


def change_url(api_url: str, *, project: str, number: str) -> str:
    """Raises UnsafeReference."""
    return f"{_project_url(api_url, project)}/merge_requests/{_number(number, 'merge request')}"


def _project_url(api_url: str, project: str) -> str:
    """https://docs.gitlab.com/api/rest/#namespaced-paths"""
    if not PROJECT.fullmatch(project):
        raise UnsafeReference("the project's path is not group/project")
    return f"{api_url.rstrip('/')}/projects/{quote(project, safe='')}"


def _number(text: str, what: str) -> str:
    if not NUMBER.fullmatch(text):
        raise UnsafeReference(f"the {what} id is not a number")
    return text
