"""Who must agree, who did, and what is done because of it: policies, approvals and deploy gates."""
