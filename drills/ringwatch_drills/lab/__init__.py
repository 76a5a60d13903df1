"""The lab: real jobs, real agents and real faults on one machine, each node a network namespace."""
