"""How the schema moves from one Ringwatch to the next, one script a step. Run by ``schema.upgrade``."""
