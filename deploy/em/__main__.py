"""`python -m em`: the same as the command `em`."""

from em.cli import app

app()
