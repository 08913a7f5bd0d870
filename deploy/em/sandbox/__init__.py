"""Stateful counterparts of Slack and GitHub over real HTTP, for the demo and the tests."""
