"""The demo: collector, this machine's agent and a simulated fleet, and a fault for someone to find."""
