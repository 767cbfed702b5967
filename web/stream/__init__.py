"""Who listens to events, and how they are told: one reader of the feed per process."""
