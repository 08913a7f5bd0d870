"""Flow metrics: how work moves before and beside deployments. Pure."""
