"""What each screen says, as lines and tables of marked text, for the console and the text twins alike."""
