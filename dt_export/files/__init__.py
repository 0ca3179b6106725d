"""Files that we write: atomically, and never over those of others."""
