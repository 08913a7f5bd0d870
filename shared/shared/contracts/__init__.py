"""The only place where services meet: subjects, messages, ids, services and commands."""
