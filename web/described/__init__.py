"""What OpenAPI says of each route: meanings, examples, answers."""
