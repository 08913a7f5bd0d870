"""em: the operator's command line, the embedded runner and its supervisor."""
