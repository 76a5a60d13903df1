"""A simulated fleet on the real wire: it says of itself that it is simulated, everywhere."""
