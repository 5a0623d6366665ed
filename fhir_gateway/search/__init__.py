"""Search: the parameter registry, what a resource is found by, what a query means, and how it is asked of the store."""
