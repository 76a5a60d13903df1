"""What people ask of the fleet, answered from a view: pure functions from readings to messages."""
