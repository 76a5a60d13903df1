"""Who may talk to the collector and what they may do: callers, roles, tokens, certificates, enrolment."""
