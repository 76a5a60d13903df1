"""One script a revision, numbered; a script that was released is never edited."""
