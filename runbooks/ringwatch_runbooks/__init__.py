"""How faults are fixed: runbook model, engine, actions and the library."""
