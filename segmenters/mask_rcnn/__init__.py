"""What ``maskrcnn`` is made of: a network that finds cell by cell, what it learns, and labels from what it finds."""
