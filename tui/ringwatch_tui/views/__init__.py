"""What each screen says, as plain lines and tables of marked text; the console and the text twins print both."""
