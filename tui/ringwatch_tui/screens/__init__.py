"""One file a screen. Screens draw the state they are given and post what the operator wants."""
