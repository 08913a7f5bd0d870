"""All SQL of metrics-svc, one function per question."""
