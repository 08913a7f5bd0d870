"""Heroku's app webhooks: a release is told when it is created and when it is done."""

from datetime import datetime
from typing import Any

from em.demo.cast import Service, application
from em.demo.facts import Deployment
from em.demo.payloads.github import iso

Json = dict[str, Any]

HEADERS = {"Content-Type": "application/json", "User-Agent": "Heroku-Webhooks/1.0"}


def app_id(service: Service) -> str:
    return f"{service.repository_id}"


def release(deployment: Deployment, status: str, at: datetime, delivery_id: str) -> Json:
    service, user = deployment.service, {"email": deployment.creator.email}
    return {
        "id": f"event-{delivery_id}",
        "action": "create" if status == "pending" else "update",
        "resource": "release",
        "actor": user,
        "published_at": iso(at),
        "data": {
            "id": f"release-{deployment.id}",
            "version": deployment.id,
            "status": status,
            "current": status == "succeeded",
            "description": deployment.description,
            "slug": {"commit": deployment.sha},
            "app": {"id": app_id(service), "name": application(service, "")},
            "user": user,
            "created_at": iso(deployment.created_at),
            "updated_at": iso(at),
        },
        "webhook_metadata": {"attempt": {"id": f"attempt-{delivery_id}"}, "delivery": {"id": delivery_id}},
    }
