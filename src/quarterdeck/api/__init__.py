"""The HTTP doors: routes, envelope, errors, guards, limits. Talks to services only."""
