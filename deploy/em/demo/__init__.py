"""The demo: a seeded story told as webhooks, its own truth, and the page that shows what came out."""
