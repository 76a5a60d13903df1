"""Generated messages and stubs of the wire, version 1. Made by ``make proto``; never edited."""
