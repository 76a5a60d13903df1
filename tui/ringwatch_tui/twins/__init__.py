"""The text twins of the screens: the same content as plain lines, and as one JSON object a line."""
