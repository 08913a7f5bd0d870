"""The HTTP side of a service: application factory, one error format, tokens, probes, and the server's life."""
