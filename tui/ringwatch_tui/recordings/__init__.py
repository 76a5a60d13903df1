"""What leaves a console as files: recordings of a window, and the evidence of an incident."""
