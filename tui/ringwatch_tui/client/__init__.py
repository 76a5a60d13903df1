"""How the console asks a collector: one interface, a live and a scripted back end."""
