"""History: the fleet's series written to a database made for them, and asked for again. It keeps none."""
