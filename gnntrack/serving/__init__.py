"""The page of a result, served to the browser of the same computer, where each edit is solved at once."""
