"""What every room may use: errors, clock, ids, pagination. Standard library only, no I/O."""
