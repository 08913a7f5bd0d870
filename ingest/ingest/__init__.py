"""Thin HTTP edge: verify a webhook, put it on disk, answer."""
