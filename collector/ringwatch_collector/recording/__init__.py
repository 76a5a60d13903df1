"""Pictures of the fleet, kept so that an incident can be looked at again from its start."""
