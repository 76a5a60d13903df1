"""Files of evidence, read into observations. Readers recognise and read; they never judge."""
