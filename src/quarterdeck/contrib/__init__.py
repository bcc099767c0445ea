"""For the users' own programs. Standard library only: importing it loads nothing of the server."""
